//! Rules of the price table that match model names.

use std::sync::OnceLock;

use regex::Regex;
use serde::Deserialize;

/// A rule for a name in lower case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PriceRule {
    Equals(LowerCase),
    StartsWith(LowerCase),
    EndsWith(LowerCase),
    Contains(LowerCase),
    Regex(ModelPattern),
    Or(Vec<Self>),
    And(Vec<Self>),
}

impl PriceRule {
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Equals(text) => name == text.0,
            Self::StartsWith(text) => name.starts_with(&text.0),
            Self::EndsWith(text) => name.ends_with(&text.0),
            Self::Contains(text) => name.contains(&text.0),
            Self::Regex(pattern) => pattern.matches(name),
            Self::Or(rules) => rules.iter().any(|rule| rule.matches(name)),
            Self::And(rules) => rules.iter().all(|rule| rule.matches(name)),
        }
    }
}

/// A text in lower case.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct LowerCase(String);

impl From<String> for LowerCase {
    fn from(text: String) -> Self {
        Self(text.to_lowercase())
    }
}

/// A pattern, compiled at its first use.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
pub(super) struct ModelPattern {
    text: String,
    regex: OnceLock<Option<Regex>>,
}

impl From<String> for ModelPattern {
    fn from(text: String) -> Self {
        Self { text, regex: OnceLock::new() }
    }
}

impl ModelPattern {
    /// Whether it matches; `^(?!.*x)` requires that `x` does not occur. An unreadable pattern matches nothing.
    fn matches(&self, name: &str) -> bool {
        if front(&self.text).is_some_and(|front| !name.starts_with(&front)) {
            return false;
        }
        let absent = self.text.strip_prefix("^(?!.*").and_then(|rest| rest.strip_suffix(')'));
        let regex = self.regex.get_or_init(|| Regex::new(absent.unwrap_or(&self.text)).ok());
        regex.as_ref().is_some_and(|regex| regex.is_match(name) != absent.is_some())
    }
}

/// The literal prefix of a pattern. It decides most names without compiling the pattern.
fn front(pattern: &str) -> Option<String> {
    let mut chars = pattern.strip_prefix('^').filter(|rest| !rest.contains('|'))?.chars().peekable();
    let mut front = String::new();
    while let Some(next) = chars.next() {
        let plain = match next {
            '\\' => chars.next().filter(char::is_ascii_punctuation),
            plain => (plain.is_ascii_alphanumeric() || "-/:_".contains(plain)).then_some(plain),
        };
        let repeated = matches!(chars.peek(), Some('?' | '*' | '+' | '{'));
        let Some(plain) = plain.filter(|_| !repeated) else { break };
        front.push(plain);
    }
    Some(front)
}

/// Writes dates as `-2025-12-11` in place of `-20251211`.
pub(super) fn with_dashed_dates(model: &str) -> Option<String> {
    let mut written = String::with_capacity(model.len() + 2);
    let mut parts = model.split('-');
    written.push_str(parts.next()?);
    let mut changed = false;
    for part in parts {
        written.push('-');
        let (digits, rest) = part.split_at_checked(8).unwrap_or((part, ""));
        let date = (digits.starts_with("20") && digits.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| chrono::NaiveDate::parse_from_str(digits, "%Y%m%d").ok())
            .flatten();
        match date {
            Some(date) if rest.is_empty() || rest.starts_with(':') => {
                written.push_str(&date.to_string());
                written.push_str(rest);
                changed = true;
            }
            _ => written.push_str(part),
        }
    }
    changed.then_some(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_literal_prefix_of_a_pattern_is_extracted() {
        for (pattern, wanted) in [
            (r"^gpt-6\.1-sol-\d{8}$", Some("gpt-6.1-sol-")),
            ("^ab?c", Some("a")),
            ("^(?!.*x)", Some("")),
            ("^a|b", None),
            ("a", None),
        ] {
            assert_eq!(front(pattern).as_deref(), wanted, "{pattern}");
        }
        let pattern = ModelPattern::from(r"^gpt-6-\d{2}$".to_owned());
        assert!(pattern.matches("gpt-6-12") && !pattern.matches("gpt-6-x") && !pattern.matches("gpt-5-12"));
    }

    #[test]
    fn rules_are_parsed_and_match() {
        let rule: PriceRule = serde_json::from_str(
            r#"{"or":[{"equals":"GPT-5"},{"and":[{"starts_with":"o"},{"regex":"^(?!.*-[tT][tT][sS](?:$|-))"}]}]}"#,
        )
        .unwrap();
        let matches = |name: &str| rule.matches(&name.to_lowercase());
        assert!(matches("gpt-5") && matches("Gpt-5") && matches("o3"));
        assert!(!matches("o3-tts") && !matches("gpt-5-mini"));
    }

    #[test]
    fn dates_get_dashes() {
        assert_eq!(with_dashed_dates("gpt-5-20251211").as_deref(), Some("gpt-5-2025-12-11"));
        assert_eq!(with_dashed_dates("a-20251211:free").as_deref(), Some("a-2025-12-11:free"));
        assert_eq!(with_dashed_dates("a-20251341"), None);
        assert_eq!(with_dashed_dates("a-202512110"), None);
    }
}
