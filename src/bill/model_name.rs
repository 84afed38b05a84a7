//! Compares names of models: `claude-sonnet-4-5-20250929`, `Claude Sonnet 4.5` and `Claude4.5Sonnet` are one model.

/// Words of billing names that name no model.
const NO_MODEL: [&str; 34] = [
    "anthropic",
    "openai",
    "google",
    "amazon",
    "us",
    "eu",
    "apac",
    "global",
    "regional",
    "glbl",
    "rgnl",
    "latest",
    "input",
    "output",
    "inp",
    "outp",
    "cached",
    "cache",
    "read",
    "write",
    "token",
    "tokens",
    "count",
    "prompt",
    "completion",
    "standard",
    "batch",
    "mantle",
    "data",
    "zone",
    "per",
    "k",
    "usage",
    "v",
];

/// A key that is equal for equal models: the words and numbers of the name in sorted order. Dates are left out, and so
/// is the revision of Bedrock (`-v1:0`).
pub(crate) fn model_key(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let plain = match lower.rfind("-v") {
        Some(at) if lower.get(at + 2..).is_some_and(is_revision) => lower.get(..at).unwrap_or(&lower),
        _ => &lower,
    };
    let plain = plain.rsplit_once('/').map_or(plain, |(_, model)| model);
    let mut words: Vec<String> = Vec::new();
    let mut last = ' ';
    for c in plain.chars() {
        let continues = (c.is_ascii_digit() && last.is_ascii_digit()) || (c.is_alphabetic() && last.is_alphabetic());
        match words.last_mut() {
            Some(word) if continues => word.push(c),
            _ if c.is_alphanumeric() => words.push(c.to_string()),
            _ => {}
        }
        last = c;
    }
    words.retain(|word| {
        let date = word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_digit());
        !date && !NO_MODEL.contains(&word.as_str())
    });
    remove_iso_date(&mut words);
    words.sort_unstable();
    words.join(" ")
}

fn is_revision(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
}

/// Removes the words of a date such as `2024-07-18`.
fn remove_iso_date(words: &mut Vec<String>) {
    let is_date = |three: &[String]| {
        three.first().is_some_and(|year| year.len() == 4 && year.starts_with("20"))
            && three.iter().skip(1).all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some(at) = words.windows(3).position(is_date) {
        words.drain(at..at + 3);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_model_have_one_key() {
        let sonnet = model_key("claude-sonnet-4-5-20250929");
        for name in ["Claude Sonnet 4.5", "Claude4.5Sonnet", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"] {
            assert_eq!(model_key(name), sonnet, "{name}");
        }
        assert_eq!(model_key("gpt-4o-mini-2024-07-18"), model_key("gpt-4o-mini"));
        assert_eq!(model_key("anthropic/claude-sonnet-4.5"), sonnet);
        assert_ne!(model_key("claude-sonnet-4"), sonnet);
        assert_ne!(model_key("gpt-4o"), model_key("gpt-4o-mini"));
    }
}
