//! Derives the type of a mission from its title, and a key that replaces the title.

use sha2::{Digest, Sha256};

/// Types that are also command names, with or without a prefix or suffix: `/ci_check` is a check.
const FAMILIES: [&str; 12] = [
    "plan",
    "review",
    "rebase",
    "recreate",
    "implement",
    "refactor",
    "audit",
    "check",
    "maintenance",
    "pr",
    "chat",
    "incident",
];

/// Commands whose name does not show their type.
const OTHERS: [(&str, &str); 16] = [
    ("deepplan", "plan"),
    ("rr", "review"),
    ("ultrareview", "review"),
    ("squash", "rebase"),
    ("rb", "rebase"),
    ("rc", "recreate"),
    ("fix", "implement"),
    ("impl", "implement"),
    ("rf", "refactor"),
    ("gha", "audit"),
    ("tech_debt", "maintenance"),
    ("dead_code", "maintenance"),
    ("claudemd", "maintenance"),
    ("ask", "chat"),
    ("brainstorm", "plan"),
    ("doc", "maintenance"),
];

/// Returns the type of a mission: the family of its slash command, `autonomous` for no title and for titles that begin
/// with that word, otherwise `freetext`.
pub fn mission_type(title: &str) -> &'static str {
    let title = bare(title);
    let Some(command) = title.split_whitespace().next().and_then(|word| word.strip_prefix('/')) else {
        let begins = title.get(..10).is_some_and(|head| head.eq_ignore_ascii_case("autonomous"));
        return if title.is_empty() || begins { "autonomous" } else { "freetext" };
    };
    let command = command.to_ascii_lowercase().replace('-', "_");
    let named = |name: &str| FAMILIES.iter().copied().find(|family| *family == name);
    let other = || OTHERS.iter().find(|(name, _)| *name == command).map(|(_, kind)| *kind);
    let first = command.split('_').next().unwrap_or_default();
    let last = command.rsplit('_').next().unwrap_or_default();
    named(&command).or_else(other).or_else(|| named(first)).or_else(|| named(last)).unwrap_or("freetext")
}

/// Returns a key that replaces a title, because titles are not stored. Rows of one mission have the same key. List
/// marks, white space and case are ignored.
pub(super) fn title_key(title: &str) -> Option<String> {
    let words = bare(title).split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ");
    let hash = Sha256::digest(words.as_bytes());
    let hex = hash.iter().take(8).map(|byte| format!("{byte:02x}"));
    (!words.is_empty()).then(|| hex.collect())
}

/// Removes the dash and the project tag of a list entry.
fn bare(title: &str) -> &str {
    let title = title.trim();
    let title = title.strip_prefix("- ").unwrap_or(title).trim_start();
    match title.strip_prefix("[project:").and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) => rest.trim_start(),
        None => title,
    }
}
