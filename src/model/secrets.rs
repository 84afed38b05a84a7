//! Removes credentials and private texts from foreign strings. The ledger stores neither.
//!
//! Any string of a log, of telemetry or of a usage object may contain a key. There are two levels. Names, ids and paths
//! lose what has the form of a credential. Free text also loses long runs of random characters, which could be an
//! ordinary id in a name.

mod json;
mod words;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};
#[cfg(feature = "import")]
use sha2::{Digest, Sha256};

pub(crate) use self::json::json;
use self::words::{is_credential_name, is_tag, is_worded};

/// The replacement of a credential.
const REDACTED: &str = "[redacted]";
/// The maximal length of a stored free text, in bytes.
const LONGEST: usize = 200;
/// The minimal length of random characters that count as a credential.
const RANDOM: usize = 24;

/// Prefixes that issuers give their credentials. No letter may precede a prefix, except that of an escape.
const ISSUED: &[&str] = &[
    r"(?:sk|pk|rk)[-_](?:ant|proj|or|svcacct|admin|lf|live|test)[-_][\w-]{6,}",
    r"gh[opsur]_[\w]{16,}",
    r"github_pat_[\w]{16,}",
    r"gl(?:pat|dt|rt|cbt|ptt|soat|ft|agent|imt|ffct)-[\w-]{16,}",
    r"xox[a-z](?:\.[a-z]+)?-[\w.-]{8,}",
    r"(?:AKIA|ASIA|ABIA|ACCA|AROA|AIDA)[0-9A-Z]{12,}",
    r"(?:ABSK|LTAI|AKID|ATBB|ATATT3x|ATCTT3x)[A-Za-z0-9+/=_-]{12,}",
    r"bce-v3/ALTAK-[\w/-]{16,}",
    r"AQ\.Ab8[\w-]{16,}",
    r"wk-1\.[\w.-]{16,}",
    r"dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{16,}",
    r"[\w.~-]{0,3}\dQ~[\w.~-]{31,}",
    r"(?:NRAK|NRII|NRJS|NRRA|HRKU)-[\w-]{16,}",
    r"sq0(?:atp|csp|idp|idb)-[\w-]{16,}",
    r"(?:ls__|CCIPAT_|CCIPRJ_)[\w-]{16,}",
    r"[A-Za-z0-9]{14}\.atlasv1\.[\w=-]{16,}",
    r"(?:sk_[0-9a-f]{48}|key_[0-9a-f]{64})",
    r"(?:pcsk|sgamp)_[\w-]{16,}",
    r"(?:crsr|sgp|rpa)_(?:local_|[0-9a-f]{16}_)?[A-Za-z0-9]{24,}",
    // The id and the secret of a key, both without a prefix.
    r"[0-9a-f]{32}\.[A-Za-z0-9]{16}\b",
    r"pat[A-Za-z0-9]{14}\.[0-9a-f]{64}",
    r"AIza[\w-]{20,}",
    r"ya29\.[\w.-]{10,}",
    r"1//0[\w-]{20,}",
    r"GOCSPX-[\w-]{10,}",
    r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{16,}",
    // Short beginnings, and names of companies: words follow them in ordinary names.
    r"(?:fc|jina|exa|e2b|vercel|nfp|pul|rdme|sbp|glsa|atlasv1)[-_][A-Za-z0-9]{24,}",
    // Addresses that allow posting without another credential.
    r"hooks\.slack\.com/(?:services|workflows|triggers)/[\w/-]{16,}",
    r"discord(?:app)?\.com/api/webhooks/[\w/-]{16,}",
    r"hooks\.zapier\.com/hooks/catch/[\w/-]{8,}",
    r"[\w][\w.-]*\.webhook\.office\.com/webhookb2/[\w@/-]{16,}",
    r"(?:whsec|dckr_pat|dckr_oat|sntrys|sntryu|lin_api|lin_oauth|tgp_v1|dop_v1|doo_v1|dor_v1|sb_secret|wandb_v1|pscale_tkn|pscale_pw|pscale_oauth|shippo_live|shippo_test|lsv2_pt|lsv2_sk|shpat|shpss|shpca|shppa)_[A-Za-z0-9+/=_-]{16,}",
    r"SG\.[\w-]{16,}\.[\w-]{16,}",
    r"hv[sbr]\.[\w-]{16,}",
    r"AGE-SECRET-KEY-1[0-9A-Z]{20,}",
    r"(?:AC|SK|dapi|key-)[0-9a-f]{32}",
    r"PMAK-[\w-]{20,}",
    r"\d{8,10}:AA[\w-]{30,}",
    r"[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}",
    r"eyJ[\w-]{5,}(?:\.[\w-]+){1,4}\.?",
    r"eyJ[\w-]{30,}",
];
/// Prefixes with which names of projects and models begin too: `npm_workspace_frontend`, `sk-2024-website-redesign`. What
/// follows must not consist of words.
const WORDED: &[&str] = &[
    r"sk-(?:[\w-]*\d[\w-]{15,}|[A-Za-z0-9]{20,})",
    r"(?:xai|pplx|nvapi|csk|pypi|tskey|sl)-[\w-]{16,}",
    r"xapp-[\w-]{10,}",
    r"(?:bedrock-api-key-|(?:gsk|hf|r8|fw|npm|ntn|figd|phx|phc|vck|vcp|api_org|rubygems|secret)_)[A-Za-z0-9+/=_-]{16,}",
];
/// Prefixes with which ordinary names begin too. What follows must look random.
const LIKELY: &[&str] = &[r"pa-[\w-]{40,}", r"fk-[\w-]{24,}", r"sl\.[\w.-]{40,}"];
/// What may precede a prefix: no letter, except that of an escape of JSON, of a URL or of a terminal.
const BOUNDARY: &str = r"(?:\b|_|\\[nrt]|\\u[0-9A-Fa-f]{4}|%[0-9A-Fa-f]{2}|\[[0-9;]+m)";
/// What separates a name from its value, also in a URL.
const SEPARATOR: &str = r#"["'`\\]*\s*(?:=>|[:=]|%3[AaDd])\s*"#;
/// The value of a pair.
const VALUE: &str = r#"\\?"[^"]*"?|'[^']*'?|`[^`]*`?|[^\s"',;&}`]+"#;
/// What names whose values are credentials [contain](is_credential_name).
const NAMED: &str = r"(?:api[-_ ]?key|(?:access|account|session|private|signing|encryption|master|shared|secret|auth)[-_]?(?:access)?[-_]?key|secret|token|passw(?:or)?d|passphrase|pass|pwd|credentials?|signature|sig|auth|jwt)";
/// Names whose values are credentials if they look random.
const KEYS: &str = r"(?:(?i:[\w.-]*[-_]key|\bkey)|[\w.-]*[a-z0-9]Key|\b(?:sessionid|PHPSESSID|JSESSIONID))";

/// Options of programs whose next argument is a credential.
const OPTIONS: &str = r"(?:api-?key|access-?key|secret-?key|token|passw(?:or)?d|passphrase|secret)";
/// A character within a URL that another URL contains, except a slash.
const IN_URL: &str = r#"(?:[^\s"'&%]|%[013-9A-Fa-f][0-9A-Fa-f]|%2[0-9A-Ea-e])"#;

/// Literals, one of which every match of `ISSUED` contains, except those with [dots](has_dots). They decide on ordinary names
/// without the large expression. A counted repetition here would take most of the time of an import.
static HINTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    compile(
        r"sk[-_]|pk[-_]|rk[-_]|gh[opsur]_|_pat_|_oat_|gl[a-z]+-|xox|xapp-|A[KSBCRI][ICOD]A|AIza|ya29|1//0|GOCSPX|xai-|pplx-|nvapi-|csk-|pypi-|tskey-|sl[-.]|tvly-|fc[-_]|jina[-_]|exa[-_]|e2b[-_]|hooks?[./]|sbp[-_]|sb_|glsa[-_]|atlasv1|vercel[-_]|nfp[-_]|pul[-_]|rdme[-_]|pscale_|shippo_|gsk_|hf_|r8_|fw_|npm_|ntn_|figd_|whsec_|sntry[su]_|ph[xc]_|_api_|_oauth_|pcsk_|crsr_|sgamp_|sgp_|rpa_|ABSK|LTAI|AKID|ATBB|AT[AC]TT3x|bce-v3|AQ\.Ab8|wk-1|dp\.[a-z]|Q~|NR[A-Z][A-Z]-|HRKU-|sq0|ls__|CCIP|key_[0-9a-f]|pa-|fk-|_v1_|rubygems_|vc[kp]_|lsv2_|shp|api_org|secret_|SG\.|hv[sbr]\.|AGE-|AC[0-9a-f]|SK[0-9a-f]|dapi|key-|PMAK|:AA|eyJ",
    )
});

/// Every form of a credential.
static FORMS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let issued = ISSUED.join("|");
    let parts = [
        // PEM keys, up to their end or the end of the text.
        r"(?s:-----BEGIN[A-Z0-9 ]*-----.*?(?:-----END[A-Z0-9 ]*-----|\z))".to_owned(),
        r#"(?i:\b(?:set-)?cookie["'\\]*\s*[:=][^\r\n]+)"#.to_owned(),
        r#"(?i:\b(?:proxy-)?authorization["'\\]*\s*[:=]\s*["'\\]*(?:[a-z]+\s+)?[^\s"',;}\\]+)"#.to_owned(),
        r"(?i:\bbearer\s+[\w.~+/=:-]{6,})".to_owned(),
        r"(?P<basic>\b(?i:basic|negotiate|digest)\s+[\w.~+/=-]{8,})".to_owned(),
        // A user's name and password, or a token, in a URL.
        r#"\b[A-Za-z][A-Za-z0-9+.-]*://(?:[^\s/@"'?#]*:[^\s@"']+|[^\s/@:"'?#]{12,})@"#.to_owned(),
        // The same in a URL that another URL contains.
        format!(r"\b[A-Za-z][A-Za-z0-9+.-]*%3[Aa]%2[Ff]%2[Ff](?:{IN_URL}*%3[Aa]{IN_URL}*|{IN_URL}{{12,}})%40"),
        format!(r"(?P<name>(?i:[\w.-]*{NAMED}[\w-]*)){SEPARATOR}(?P<value>{VALUE})"),
        format!(r"(?P<key>{KEYS}){SEPARATOR}(?P<key_value>{VALUE})"),
        format!(r"(?i:<(?P<tag>(?:[\w.:-]*[-_.:])?{NAMED})>)(?P<tag_value>[^<]+)"),
        format!(r"\B--?(?P<option>(?i:(?:[\w-]+-)?{OPTIONS}))\s+(?P<option_value>{VALUE})"),
        r"\B(?:-u|--user)[\s=]+[^\s:]+:[^\s/]*[A-Za-z]\S*".to_owned(),
        format!("{BOUNDARY}(?:{issued})"),
        format!("{BOUNDARY}(?P<worded>{})", WORDED.join("|")),
        format!("{BOUNDARY}(?P<likely>{})", LIKELY.join("|")),
    ];
    compile(&parts.join("|"))
});

/// Compiles an expression with ASCII word classes. Counted repetitions of Unicode word classes are too large to
/// compile.
fn compile(expression: &str) -> Option<Regex> {
    Regex::new(&expression.replace(r"\w", "0-9A-Za-z_").replace(r"\d", "[0-9]")).ok()
}

/// Long runs of the characters of base64, base64url and hex.
static RUNS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!(r"[A-Za-z0-9+/=_-]{{{RANDOM},}}")).ok());

/// Whether a text may contain a token that only the lengths of its parts distinguish: one of Discord has two dots and 59
/// characters or more, others have 32 hexadecimal digits before or behind a dot.
fn has_dots(text: &str) -> bool {
    if text.len() < 49 {
        return false;
    }
    let bytes = text.as_bytes();
    let is_hex = |part: Option<&[u8]>| part.is_some_and(|part| part.iter().all(u8::is_ascii_hexdigit));
    let mut dots = 0;
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'.') {
        dots += 1;
        let is_long = dots == 2 && text.len() >= 59;
        if is_long
            || is_hex(at.checked_sub(32).and_then(|from| bytes.get(from..at)))
            || is_hex(bytes.get(at + 1..at + 33))
        {
            return true;
        }
    }
    false
}

/// A name, id or path without what has the form of a credential.
pub(crate) fn name(text: &str) -> Cow<'_, str> {
    without_credentials(text, false)
}

/// A message of this program, which may quote input. Its own prose stays: `at least 1 token: declare …` and
/// `/etc/ledger/token: No such file` are no pairs.
#[cfg(any(test, feature = "cli"))]
pub(crate) fn message(text: &str) -> Cow<'_, str> {
    without_credentials(text, true)
}

fn without_credentials(text: &str, is_message: bool) -> Cow<'_, str> {
    // Without these characters only prefixes of issuers can match.
    let is_mark = |byte| matches!(byte, b' ' | b'=' | b':' | b'@' | b'%' | b'<' | b'\t' | b'\n' | b'\r');
    if !text.bytes().any(is_mark) && !has_hint(text) {
        return Cow::Borrowed(text);
    }
    // If the expression does not compile, the whole text is removed.
    let named = FORMS.as_ref().map_or(Cow::Borrowed(REDACTED), |forms| without(forms, text, is_message));
    if AWS_ID.as_ref().is_none_or(|ids| ids.is_match(text)) { Cow::Owned(without_aws_secrets(&named)) } else { named }
}

/// A text without what is a credential of the forms.
fn without<'t>(forms: &Regex, text: &'t str, is_message: bool) -> Cow<'t, str> {
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(captures) = forms.captures_at(text, at) {
        let Some(whole) = captures.get(0) else { break };
        let kept = if is_message { prose(&captures, text) } else { None };
        let kept = kept.or_else(|| kept_of(&captures, whole.as_str()));
        if let Some(next) = kept {
            at = whole.start() + next;
        } else {
            out.push_str(text.get(copied..whole.start()).unwrap_or_default());
            out.push_str(REDACTED);
            (copied, at) = (whole.end(), whole.end());
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

/// Whether a text may contain a prefix of an issuer.
fn has_hint(text: &str) -> bool {
    has_dots(text) || HINTS.as_ref().is_none_or(|hints| hints.is_match(text))
}

/// The id of an AWS access key, which people keep next to its secret.
static AWS_ID: LazyLock<Option<Regex>> = LazyLock::new(|| compile(r"(?:\b|_)(?:AKIA|ASIA)[0-9A-Z]{12,}"));

/// Removes what may be the secret of an AWS access key. It has no prefix, so it is an ordinary id anywhere else.
fn without_aws_secrets(text: &str) -> String {
    let Some(runs) = RUNS.as_ref() else { return REDACTED.to_owned() };
    let keep = |run: &Captures<'_>| {
        let run = run.get(0).map_or("", |run| run.as_str());
        if is_aws_secret(run) { REDACTED.to_owned() } else { run.to_owned() }
    };
    runs.replace_all(text, keep).into_owned()
}

/// Whether a run has the form of the secret of an AWS access key: 40 random characters of base64.
fn is_aws_secret(run: &str) -> bool {
    let has = |class: fn(&u8) -> bool| run.bytes().any(|byte| class(&byte));
    run.len() == 40
        && !has(|byte| matches!(byte, b'-' | b'_' | b'='))
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_digit)
        && is_random(run)
}

/// The longest value, in bytes, that is kept for the name before it. A longer one is no count.
const LONGEST_KEPT: usize = 256;
/// The same behind a name of no credential, and behind a prefix of an issuer. The search continues within what is kept, so
/// a limit keeps its time linear.
const LONGEST_PLAIN: usize = 1024;

/// If a match is no credential: the distance from its start at which the search continues. A value that is kept may
/// contain a credential of another form.
fn kept_of(captures: &Captures<'_>, whole: &str) -> Option<usize> {
    let start = captures.get(0).map_or(0, |whole| whole.start());
    if let (Some(of), Some(value)) = (captures.name("name"), captures.name("value")) {
        let between = whole.get(of.end() - start..value.start() - start).unwrap_or_default();
        let is_kept = !is_credential_name(of.as_str()) || (between == ":" && is_tag(value.as_str()));
        if is_kept && value.len() <= LONGEST_PLAIN {
            return Some(value.start() - start);
        }
    }
    if let Some(run) = captures.name("worded") {
        let is_kept = run.len() <= LONGEST_PLAIN && is_worded(run.as_str());
        // The run may contain another credential behind its first word.
        let first = run.as_str().find(['-', '_']).unwrap_or(run.len());
        return is_kept.then_some(run.start() - start + first);
    }
    for (name, value) in [("name", "value"), ("tag", "tag_value"), ("option", "option_value"), ("key", "key_value")] {
        if let (Some(of), Some(value)) = (captures.name(name), captures.name(value)) {
            let is_kept =
                is_ordinary(of.as_str(), value.as_str()) || (name == "key" && !is_key(of.as_str(), value.as_str()));
            return (is_kept && value.len() <= LONGEST_KEPT).then(|| value.start() - start);
        }
    }
    let is_kept = if captures.name("basic").is_some() {
        // `basic instructions` is prose. Encoded names and passwords contain letters of both cases, digits or `=`.
        let value = whole.split_whitespace().nth(1).unwrap_or_default();
        let has_mixed = value.bytes().skip(1).any(|byte| byte.is_ascii_uppercase()) || value.ends_with('=');
        !has_mixed && !value.bytes().any(|byte| byte.is_ascii_digit())
    } else {
        captures.name("likely").is_some_and(|run| !is_random(run.as_str()))
    };
    is_kept.then_some(whole.len())
}

/// Whether the value of a key is a credential, and not a name such as that of a sort key. Variables of the environment
/// are named in capital letters.
fn is_key(name: &str, value: &str) -> bool {
    let value = value.trim_matches(['"', '\'', '`', '\\']);
    let is_variable = name.ends_with("_KEY") && !name.bytes().any(|byte| byte.is_ascii_lowercase());
    let is_mixed = value.len() >= 6
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_variable || (is_mixed && uuid::Uuid::try_parse(value).is_err())
}

/// Whether a pair is about token counts, or has an empty value.
fn is_ordinary(name: &str, value: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let value = value.trim_matches(['"', '\'', '`', '\\']);
    let plain = name.replace(['_', '-'], "");
    let about_counts = name.contains("tokens")
        || ["count", "usage", "type", "limit", "budget", "detail", "cost", "price"].iter().any(|what| {
            plain.find("token").and_then(|at| plain.get(at + 5..)).is_some_and(|rest| rest.starts_with(what))
        });
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-'));
    value.is_empty()
        || value.starts_with(REDACTED)
        || matches!(value, "true" | "false" | "null" | "none")
        || about_counts
        || (name.contains("token") && is_number)
}

/// If a match is prose of a message and no pair: the distance from its start at which the search continues. What the message
/// quotes in backticks is no prose.
fn prose(captures: &Captures<'_>, text: &str) -> Option<usize> {
    let (whole, name, value) = (captures.get(0)?, captures.name("name")?, captures.name("value")?);
    let is_quoted = text.get(..value.start())?.bytes().filter(|byte| *byte == b'`').count() % 2 == 1;
    let is_command = value.as_str().starts_with("`usage-ledger ");
    let is_prose = match text.get(name.end()..value.start())?.trim_start_matches('`') {
        ": " => is_command || is_plain_word(value.as_str()),
        // A place in a file: `/etc/ledger/auth:3: …`
        ":" => value.as_str().strip_suffix(':').is_some_and(|line| line.bytes().all(|byte| byte.is_ascii_digit())),
        _ => false,
    };
    (is_prose && !is_quoted).then(|| value.start() - whole.start())
}

/// Whether a text is a word of a sentence, with its punctuation.
fn is_plain_word(text: &str) -> bool {
    let word = text.trim_end_matches(['.', ':', ')', '?', '!', '…']);
    let is_short_capitals = word.len() <= 5 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_lower = word.bytes().skip(1).all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    word.starts_with(|first: char| first.is_ascii_alphabetic()) && (is_lower || is_short_capitals)
}

/// Free text without credentials, and without long runs of random characters.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    let named = name(text);
    if named.len() < RANDOM {
        return named;
    }
    let Some(runs) = RUNS.as_ref() else { return Cow::Borrowed(REDACTED) };
    if !runs.find_iter(&named).any(|run| is_random(run.as_str())) {
        return named;
    }
    let keep = |run: &Captures<'_>| {
        let run = run.get(0).map_or("", |run| run.as_str());
        if is_random(run) { REDACTED.to_owned() } else { run.to_owned() }
    };
    Cow::Owned(runs.replace_all(&named, keep).into_owned())
}

/// Free text without credentials, cut to 200 bytes with a mark that gives its full length.
pub(crate) fn short(foreign: &str) -> Cow<'_, str> {
    let scrubbed = text(foreign);
    if scrubbed.len() <= LONGEST {
        return scrubbed;
    }
    let mark = format!("… [cut: {} bytes]", foreign.len());
    let mut end = LONGEST - mark.len();
    while !scrubbed.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}{mark}", scrubbed.get(..end).unwrap_or_default()))
}

/// A word of a log for use in a skip reason. Anything but a short word may be private text, so it is replaced by its
/// length.
pub(crate) fn quoted(word: &str) -> String {
    let is_word = word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-/:".contains(&byte));
    if is_word && matches!(text(word), Cow::Borrowed(_)) {
        format!("`{word}`")
    } else {
        format!("a text of {} bytes", word.len())
    }
}

/// The same for a malformed time: only digits and punctuation of times are repeated.
#[cfg(feature = "import")]
pub(crate) fn quoted_time(time: &str) -> String {
    let is_time = time.len() <= 40 && time.bytes().all(|byte| byte.is_ascii_digit() || b"-:.+TZ ".contains(&byte));
    if is_time { format!("`{time}`") } else { format!("of {} bytes", time.len()) }
}

/// An id. A hash replaces an id that has the form of a credential, so different ids stay different.
#[cfg(feature = "import")]
pub(crate) fn id(text: &str) -> Cow<'_, str> {
    // No id of a known agent contains these marks of base64.
    if text.contains(['/', '+']) && is_aws_secret(text) {
        return Cow::Owned(format!("redacted-{}", hash(text)));
    }
    match name(text) {
        Cow::Owned(redacted) if redacted != text => Cow::Owned(format!("redacted-{}", hash(text))),
        _ => Cow::Borrowed(text),
    }
}

/// A path. A hash in the replacement keeps different paths different.
#[cfg(feature = "import")]
pub(crate) fn path(text: &str) -> Cow<'_, str> {
    distinct(text, name)
}

/// The name of a model, as free text. A hash in the replacement keeps different models different.
#[cfg(feature = "import")]
pub(crate) fn model(text: &str) -> Cow<'_, str> {
    distinct(text, self::text)
}

#[cfg(feature = "import")]
fn distinct<'t>(text: &'t str, rule: impl Fn(&'t str) -> Cow<'t, str>) -> Cow<'t, str> {
    match rule(text) {
        Cow::Owned(redacted) if redacted != text => Cow::Owned(format!("{redacted}#{}", hash(text))),
        _ => Cow::Borrowed(text),
    }
}

/// A short hash that distinguishes texts.
#[cfg(feature = "import")]
fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"))
}

/// Whether a run of characters looks random: letters and digits alternate often, unlike in words and versions.
fn is_random(run: &str) -> bool {
    let run = run.trim_matches(['-', '_', '=', '/', '+']);
    if run.len() < RANDOM || uuid::Uuid::try_parse(run).is_ok_and(|_| run.len() == 36) {
        return false;
    }
    let class = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let mut seen = [false; 4];
    let (mut changes, mut last, mut marks) = (0, None, 0);
    for byte in run.bytes() {
        let class = class(byte);
        if let Some(seen) = seen.get_mut(class) {
            *seen = true;
        }
        if class == 3 {
            marks += 1;
            last = None;
            continue;
        }
        changes += usize::from(last.is_some_and(|last| last != class));
        last = Some(class);
    }
    let [lower, upper, digit, _] = seen;
    let mixed = usize::from(lower) + usize::from(upper) + usize::from(digit) >= 2;
    mixed && changes * 100 >= run.len() * 28 && marks * 4 <= run.len()
}

#[cfg(test)]
mod tests;
