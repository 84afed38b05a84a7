//! Tells names of credentials from words that only contain them, and runs of words from random ones.

/// Words that make a name that of a credential, alone or at the end of a compound: `accesstoken`, `oauth`.
const STRONG: [&str; 13] = [
    "secret",
    "token",
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "passkey",
    "pwd",
    "credential",
    "signature",
    "auth",
    "jwt",
    "apikey",
];
/// What may follow these words in a compound: `tokenvalue`. `tokenizer`, `secretary` and `author` are other words.
const BEHIND: [&str; 17] = [
    "",
    "s",
    "key",
    "keys",
    "id",
    "value",
    "hash",
    "string",
    "str",
    "text",
    "data",
    "code",
    "header",
    "n",
    "z",
    "entication",
    "orization",
];
/// Words that make a name that of a credential alone, or with one of `BEFORE_WEAK`: `compass` and `insig` are other words.
const WEAK: [&str; 2] = ["pass", "sig"];
/// What precedes them in a compound, or in an escape: `\npass=…`.
const BEFORE_WEAK: [&str; 24] = [
    "", "n", "r", "t", "m", "x", "my", "db", "pg", "user", "smtp", "ftp", "sftp", "http", "mysql", "redis", "mail",
    "imap", "root", "admin", "ssh", "sudo", "api", "hmac",
];
/// What makes a key a credential: `access_key`.
const KEY_KINDS: [&str; 11] =
    ["api", "access", "account", "session", "private", "signing", "encryption", "master", "shared", "secret", "auth"];

/// Whether a name is that of a credential: one of its words is, not a part of a word such as `sigma` or `tokenizer`.
pub(super) fn is_credential_name(name: &str) -> bool {
    let mut last = String::new();
    for part in name.split(['_', '-', '.', ' ']).filter(|part| !part.is_empty()) {
        let mut words = vec![part.to_ascii_lowercase()];
        words.extend(humps(part).map(str::to_ascii_lowercase));
        let is_last_weak = words.last().is_some_and(|word| is_weak(word)) && !part.eq_ignore_ascii_case("bypass");
        let is_key = |word: &str, before: &str| {
            let kind = format!("{before}{}", word.strip_suffix('s').unwrap_or(word));
            kind.strip_suffix("key").is_some_and(|kind| KEY_KINDS.iter().any(|known| kind.ends_with(known)))
        };
        if is_last_weak || words.iter().any(|word| is_strong(word) || is_key(word, "") || is_key(word, &last)) {
            return true;
        }
        last = words.swap_remove(0);
    }
    false
}

/// The words of a compound in camel case: `X`, `Api` and `Key` in `XApiKey`.
fn humps(part: &str) -> impl Iterator<Item = &str> {
    let is_start = |at: usize| {
        let class =
            |at: usize| part.as_bytes().get(at).map(|byte| (byte.is_ascii_uppercase(), byte.is_ascii_lowercase()));
        let before = at.checked_sub(1).and_then(class);
        let (Some((is_upper, _)), Some((was_upper, was_lower))) = (class(at), before) else { return false };
        is_upper && (was_lower || (was_upper && class(at + 1).is_some_and(|(_, is_lower)| is_lower)))
    };
    let mut rest = 0;
    std::iter::from_fn(move || {
        let from = rest;
        rest = (from + 1..part.len()).find(|at| is_start(*at)).unwrap_or(part.len());
        part.get(from..rest).filter(|word| !word.is_empty())
    })
}

fn is_strong(word: &str) -> bool {
    let word = word.trim_end_matches(|last: char| last.is_ascii_digit());
    let is_named = |strong: &&str| {
        let behind = word.rfind(*strong).and_then(|at| word.get(at + strong.len()..));
        behind.is_some_and(|behind| BEHIND.contains(&behind) || (strong.starts_with("passw") && behind != "less"))
    };
    // `tokens` are counts.
    !word.ends_with("tokens") && STRONG.iter().any(is_named)
}

fn is_weak(word: &str) -> bool {
    let word = word.trim_end_matches(|last: char| last.is_ascii_digit());
    let is_escape = |before: &str| {
        // `%26pass`, `\u0026pass`, `[31mpass`
        let hex = before.strip_prefix('u').unwrap_or(before).trim_end_matches('m');
        hex.starts_with(|first: char| first.is_ascii_digit()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_named =
        |weak: &&str| word.strip_suffix(*weak).is_some_and(|before| BEFORE_WEAK.contains(&before) || is_escape(before));
    WEAK.iter().any(is_named)
}

/// Whether a text is the tag of a model, as in `name:7b-q4_K_M`: a size, a quantisation, a version or an ordinary word of tags.
pub(super) fn is_tag(text: &str) -> bool {
    const WORDS: [&str; 13] = [
        "latest", "free", "cloud", "online", "nitro", "floor", "exacto", "extended", "thinking", "instruct", "beta",
        "mini", "preview",
    ];
    let text = text.to_ascii_lowercase();
    let (first, rest) = text.split_once('-').unwrap_or((&text, ""));
    let is_number = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_digit())
            && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    };
    let is_size = first.strip_suffix(['b', 'm']).is_some_and(is_number);
    let is_version = first.strip_prefix('v').is_some_and(is_number);
    let (bits, kind) = first.split_once('_').unwrap_or((first, ""));
    let is_quantised = bits.trim_start_matches(['i', 'q', 'b', 'f', 'p']) != bits
        && is_number(bits.trim_start_matches(['i', 'q', 'b', 'f', 'p']))
        && kind.len() <= 4;
    let is_short = first.len() <= 8 && rest.len() <= 32;
    is_short
        && (WORDS.contains(&first) || is_size || is_version || is_quantised)
        && rest
            .split(['-', '_', '.'])
            .all(|part| part.len() <= 10 && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Whether a run consists of words and numbers, unlike a random one: `npm_workspace_frontend`, `hf_models/llama3`.
pub(super) fn is_worded(run: &str) -> bool {
    let is_ordinary = |part: &str| {
        let letters = part.trim_end_matches(|last: char| last.is_ascii_digit());
        if letters.is_empty() {
            return (1..=8).contains(&part.len());
        }
        let word = letters.trim_start_matches(|first: char| first.is_ascii_digit());
        let (before, behind) = (letters.len() - word.len(), part.len() - letters.len());
        // `7b`, `2nd`, `llama3`, `web2024`
        let is_numbered = if before > 0 { before <= 4 && behind == 0 && word.len() <= 2 } else { behind <= 4 };
        let is_capital = word.len() <= 12 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_words = word.len() <= 20
            && humps(word).all(|hump| {
                let is_lower = hump.bytes().skip(1).all(|byte| byte.is_ascii_lowercase());
                is_lower && (hump.len() >= 3 || hump.len() == word.len())
            });
        is_numbered && (is_capital || is_words)
    };
    let parts = || run.trim_end_matches('/').split(['-', '_', '/']);
    // Random runs with many marks have parts of one or two characters.
    let short = parts().filter(|part| part.len() <= 2).count();
    short * 2 <= parts().count() && parts().all(is_ordinary)
}
