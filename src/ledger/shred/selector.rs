//! Selects records for shredding by project, conversation or label.

use crate::model::error::{Error, Result};
use crate::model::event::TokenRecord;
use crate::model::invariant::bug;

/// A name that selects records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selector {
    Project(String),
    Conversation(String),
    Label(String, String),
}

impl Selector {
    pub fn by(&self, record: &TokenRecord) -> bool {
        match self {
            Self::Project(name) => record.project.as_ref() == Some(name),
            Self::Conversation(name) => record.conversation.as_ref() == Some(name),
            Self::Label(name, value) => record.labels.get(name) == Some(value),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Project(name) | Self::Conversation(name) | Self::Label(_, name) => name,
        }
    }

    /// The name as it is written in a JSON line. For a label it is name and value, because the value may be a single
    /// letter.
    pub fn written(&self) -> Result<String> {
        Ok(match self {
            Self::Project(name) | Self::Conversation(name) => escaped(name)?,
            Self::Label(name, value) => format!("\"{}\":\"{}\"", escaped(name)?, escaped(value)?),
        })
    }

    /// Whether a text that stays in the ledger contains the name. The value of a label counts only as a whole word.
    pub fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Project(name) | Self::Conversation(name) => text.contains(name.as_str()),
            Self::Label(_, value) => is_word_in(value, text),
        }
    }

    /// A project's path as agents spell it in the names of log directories; `None` if that is the path itself.
    pub fn spelled(&self) -> Option<String> {
        let Self::Project(path) = self else { return None };
        let spelled: String = path
            .chars()
            .flat_map(|c| if c.is_ascii_alphanumeric() { vec![c] } else { vec!['-'; c.len_utf16()] })
            .collect();
        (spelled != *path && spelled.contains(char::is_alphanumeric)).then_some(spelled)
    }
}

/// A text as it is written between the quotes of a JSON string.
fn escaped(text: &str) -> Result<String> {
    let quoted = serde_json::to_string(text).map_err(|error| Error::invalid(format!("`{text}`: {error}")))?;
    match quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => Ok(inner.to_owned()),
        None => Err(bug!("a JSON string stands between quotes, this one is {quoted}")),
    }
}

/// Whether a text contains a name as a whole word.
fn is_word_in(name: &str, text: &str) -> bool {
    let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(name).any(|(at, name)| {
        let (before, rest) = text.split_at(at);
        let behind = rest.strip_prefix(name).unwrap_or(rest);
        let begins = word(name.chars().next()) && word(before.chars().next_back());
        let goes_on = word(name.chars().next_back()) && word(behind.chars().next());
        !begins && !goes_on
    })
}

/// Decides from the path of a log whether it belongs to a project or a conversation.
pub(super) struct Mentions(Vec<String>);

impl Mentions {
    pub fn of(selector: &[Selector]) -> Self {
        let mut names = Vec::new();
        for selector in selector {
            if let Selector::Project(name) | Selector::Conversation(name) = selector {
                names.push(name.clone());
                names.extend(selector.spelled());
            }
        }
        // A name without letters and digits would match every path.
        names.retain(|name| name.contains(char::is_alphanumeric));
        Self(names)
    }

    /// Whether a path contains one of the names as a whole word.
    pub fn is_in(&self, path: &str) -> bool {
        self.0.iter().any(|name| is_word_in(name, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_matches_by_name_and_value_and_as_a_word_of_a_text() {
        let label = |name: &str, value: &str| Selector::Label(name.to_owned(), value.to_owned());
        assert_eq!(label("a", "b").written().unwrap(), r#""a":"b""#);
        assert_eq!(label("a\"", "\n").written().unwrap(), r#""a\"":"\n""#);
        assert!(!label("a", "b").is_in("because somebody asked"));
        assert!(label("a", "b").is_in("b asked") && label("a", "b").is_in("plan-b"));
        assert!(Selector::Project("acme".to_owned()).is_in("acmes request"));
        assert_eq!(Selector::Project("\"x\"".to_owned()).written().unwrap(), r#"\"x\""#);
    }

    #[test]
    fn a_path_mentions_a_project_in_either_spelling() {
        let of = |name: &str| Mentions::of(&[Selector::Project(name.to_owned())]);
        let acme = of("/home/alice/acme.corp");
        for (path, is_in) in [
            ("/home/alice/.claude/projects/-home-alice-acme-corp/s.jsonl", true),
            ("/home/alice/.claude/projects/-home-alice-acme-corp-web/s.jsonl", true),
            ("/home/alice/acme.corp/.log/s.jsonl", true),
            ("/home/alice/.claude/projects/-home-alice-acme-corporation/s.jsonl", false),
            ("/home/alice/.claude/projects/-home-alice-other/s.jsonl", false),
        ] {
            assert_eq!(acme.is_in(path), is_in, "{path}");
        }
        assert!(of("acme").is_in("/logs/acme/x") && !of("acme").is_in("/logs/pacmen/x"));
        assert!(!of("/").is_in("/-home-alice"));
        assert_eq!(Selector::Project("/é/😀".to_owned()).spelled(), None);
        assert_eq!(Selector::Project("/aé😀".to_owned()).spelled().as_deref(), Some("-a---"));
    }
}
