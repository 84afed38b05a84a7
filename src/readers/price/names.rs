//! Alternative spellings of a model's name: gateways prefix the maker and reorder its words.

use crate::model::provider::ProviderId;

use super::rule::with_dashed_dates;

/// The spellings under which the price table may list a provider's model, the given one first.
pub(super) fn spellings(provider: &str, name: &str) -> Vec<String> {
    let mut all = vec![name.to_lowercase()];
    // Anthropic's fast mode has its own price, which no table states under such a name.
    if provider == "anthropic" && all.iter().any(|name| name.ends_with("-fast")) {
        return Vec::new();
    }
    let bare = all.first().map(|name| without_maker(provider, name).to_owned());
    all.extend(bare);
    // `[1m]` requests a longer context. The price of that depends on the length of the prompt.
    all.extend(all.last().and_then(|name| Some(name.strip_suffix(']')?.rsplit_once('[')?.0.to_owned())));
    all.extend(all.last().and_then(|name| in_order(name)));
    let dated: Vec<String> = all.iter().filter_map(|name| with_dashed_dates(name)).collect();
    all.extend(dated);
    let mut seen = Vec::with_capacity(all.len());
    for name in all {
        if !name.is_empty() && !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// The name without its provider's own prefix: `anthropic/claude-sonnet-4.5` at Anthropic. Elsewhere the maker stays
/// part of the name, because a gateway may charge other prices than the maker.
fn without_maker<'n>(provider: &str, name: &'n str) -> &'n str {
    // Google names a model by its resource: `models/gemini-2.5-pro`, `publishers/google/models/gemini-2.5-pro`.
    let is_google = provider.starts_with("google");
    let resource = if is_google { name.rsplit_once("models/").map(|(_, model)| model) } else { None };
    let mut rest = resource.unwrap_or(name);
    if is_google {
        rest = rest.strip_prefix("google/").unwrap_or(rest);
    }
    while let Some((maker, behind)) = rest.split_once(['/', ':']) {
        let is_own = ProviderId::resolve(maker).is_ok_and(|id| id.as_str() == provider);
        if !is_own {
            break;
        }
        rest = behind;
    }
    rest
}

/// The name with its family before its version, as Anthropic writes it (`claude-4.6-opus-20260205` becomes
/// `claude-opus-4-6-20260205`), or with the version first, as Google does (`gemini-pro-2.5` becomes `gemini-2.5-pro`).
fn in_order(name: &str) -> Option<String> {
    let is_version = |part: &&str| {
        part.len() <= 4
            && part.starts_with(|c: char| c.is_ascii_digit())
            && part.bytes().all(|b| b == b'.' || b.is_ascii_digit())
    };
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let parts: Vec<&str> = name.split('-').collect();
    let (maker, rest) = parts.split_first()?;
    let lead = |wanted: &dyn Fn(&&str) -> bool| rest.iter().take_while(|part| wanted(part)).count();
    let (versions, words) = (lead(&is_version), lead(&is_word));
    match *maker {
        "claude" if versions > 0 => {
            let (version, behind) = rest.split_at_checked(versions)?;
            let (family, behind) = behind.split_first().filter(|(family, _)| is_word(family))?;
            let version = version.join("-").replace('.', "-");
            Some([&["claude", *family, version.as_str()], behind].concat().join("-"))
        }
        "gemini" if words > 0 => {
            let (family, behind) = rest.split_at_checked(words)?;
            let (version, behind) = behind.split_first().filter(|(version, _)| is_version(version))?;
            Some([&["gemini", *version], family, behind].concat().join("-"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maker_prefixes_and_word_orders_are_normalised() {
        for (provider, name, spelling) in [
            ("anthropic", "anthropic/claude-sonnet-4.5", "claude-sonnet-4.5"),
            ("anthropic", "Anthropic/Claude-4.6-Opus-20260205", "claude-opus-4-6-20260205"),
            ("anthropic", "claude-4-6-sonnet", "claude-sonnet-4-6"),
            ("anthropic", "claude-sonnet-5[1m]", "claude-sonnet-5"),
            ("openai", "openai/gpt-5.5", "gpt-5.5"),
            ("openai", "openai/gpt-5-20250807", "gpt-5-2025-08-07"),
            ("google", "google/gemini-pro-2.5", "gemini-2.5-pro"),
            ("google", "models/gemini-2.5-pro", "gemini-2.5-pro"),
            ("google-vertex", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
            ("google-vertex", "projects/p/locations/global/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
            ("google-vertex", "google/gemini-2.5-flash", "gemini-2.5-flash"),
            ("google-vertex", "publishers/anthropic/models/claude-sonnet-4-5@20250929", "claude-sonnet-4-5@20250929"),
            ("openai", "openai:gpt-5", "gpt-5"),
            ("xai", "x-ai/grok-4", "grok-4"),
            ("openrouter", "openrouter/anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
        ] {
            let all = spellings(provider, name);
            assert!(all.iter().any(|one| one == spelling), "{provider} {name}: {all:?}");
            assert_eq!(all[0], name.to_lowercase());
        }
        assert!(spellings("anthropic", "claude-opus-4-6-fast").is_empty());
        // A gateway's price may differ from the maker's.
        for (provider, name) in [("openrouter", "anthropic/claude-sonnet-4.5"), ("my-gateway", "openai/gpt-5.5")] {
            assert_eq!(spellings(provider, name), [name]);
        }
    }
}
