//! The names by which what is to be shredded is found.

use crate::model::event::TokenRecord;

/// A name by which records are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    Project(String),
    Conversation(String),
    Label(String, String),
}

impl Carried {
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

    /// The name as it stands in a line of JSON.
    pub fn written(&self) -> String {
        let quoted = serde_json::to_string(self.name()).unwrap_or_default();
        quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned()
    }

    /// A project's path as the names of directories spell it in which agents keep its logs; `None` where that is the
    /// path itself.
    pub fn spelled(&self) -> Option<String> {
        let Self::Project(path) = self else { return None };
        let spelled: String = path
            .chars()
            .flat_map(|c| if c.is_ascii_alphanumeric() { vec![c] } else { vec!['-'; c.len_utf16()] })
            .collect();
        (spelled != *path && spelled.contains(char::is_alphanumeric)).then_some(spelled)
    }
}

/// What tells from the path of a log that it is one of a project's or a conversation's.
pub(super) struct Mentions(Vec<String>);

impl Mentions {
    pub fn of(carried: &[Carried]) -> Self {
        let mut names = Vec::new();
        for carried in carried {
            if let Carried::Project(name) | Carried::Conversation(name) = carried {
                names.push(name.clone());
                names.extend(carried.spelled());
            }
        }
        // What is nothing but signs would be in every path.
        names.retain(|name| name.contains(char::is_alphanumeric));
        Self(names)
    }

    /// Whether one of the names stands in a path, and not as a part of a longer word.
    pub fn is_in(&self, path: &str) -> bool {
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        self.0.iter().any(|name| {
            path.match_indices(name.as_str()).any(|(at, name)| {
                let (before, rest) = path.split_at(at);
                let behind = rest.strip_prefix(name).unwrap_or_default();
                let begins = word(name.chars().next()) && word(before.chars().next_back());
                let goes_on = word(name.chars().next_back()) && word(behind.chars().next());
                !begins && !goes_on
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_mentions_a_project_in_either_spelling() {
        let of = |name: &str| Mentions::of(&[Carried::Project(name.to_owned())]);
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
        assert_eq!(Carried::Project("/é/😀".to_owned()).spelled(), None);
        assert_eq!(Carried::Project("/aé😀".to_owned()).spelled().as_deref(), Some("-a---"));
    }
}
