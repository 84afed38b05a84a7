//! Handles filters that match no call: completes or suggests values.

use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::present::failure::print_message;
use crate::readers::price::Prices;
use crate::report::{Report, ReportKey};

/// Maximum number of values in a message.
const NAMED: usize = 5;
/// Minimum length of the beginning of a conversation's id.
const LEAST_ID: usize = 4;

/// Result for filters that match nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CompletedFilters {
    /// The filters, with a partial value replaced by its unique full form.
    pub filters: Vec<(ReportKey, String)>,
    /// One sentence per changed or unknown filter.
    pub notes: Vec<String>,
    /// Whether a filter was changed.
    pub is_changed: bool,
}

/// Completes a value that has a unique full form in the ledger, and suggests similar values for others.
pub(crate) fn resolve(snapshot: &Snapshot<'_>, filters: &[(ReportKey, String)]) -> Result<CompletedFilters> {
    let mut resolved = CompletedFilters { filters: Vec::new(), notes: Vec::new(), is_changed: false };
    for (key, value) in filters {
        let known = values(snapshot, key)?;
        let name = key.name();
        if known.iter().any(|known| known == value) {
            resolved.filters.push((key.clone(), value.clone()));
            continue;
        }
        let is_id = *key == ReportKey::Conversation && value.len() >= LEAST_ID;
        let is_full = |known: &&String| completes(value, known) || (is_id && known.starts_with(value));
        let completed: Vec<&String> = known.iter().filter(is_full).collect();
        if let [only] = completed[..] {
            resolved.notes.push(format!("{name} `{value}` is taken for `{only}`"));
            resolved.filters.push((key.clone(), only.clone()));
            resolved.is_changed = true;
            continue;
        }
        let near = if completed.is_empty() { nearest(value, &known) } else { completed };
        let named: Vec<String> = near.iter().take(NAMED).map(|known| format!("`{known}`")).collect();
        resolved.notes.push(match (named.is_empty(), known.is_empty()) {
            (false, _) => format!("no call has the {name} `{value}`: did you mean {}?", named.join(", ")),
            (true, true) => format!("no call has any {name}"),
            (true, false) => {
                format!("no call has the {name} `{value}`: `usage-ledger report --by {name}` lists all")
            }
        });
        resolved.filters.push((key.clone(), value.clone()));
    }
    Ok(resolved)
}

/// The full name of a project that is named by a part of it; a name that the ledger does not know stays as it is.
pub(crate) fn project_of(name: &str, snapshot: &Snapshot<'_>) -> Result<String> {
    let resolved = resolve(snapshot, &[(ReportKey::Project, name.to_owned())])?;
    if let Some(note) = resolved.notes.first().filter(|_| resolved.is_changed) {
        print_message(note);
    }
    Ok(resolved.filters.into_iter().next().map_or_else(|| name.to_owned(), |(_, project)| project))
}

/// Lists the values of a key in the ledger.
pub(super) fn values(snapshot: &Snapshot<'_>, key: &ReportKey) -> Result<Vec<String>> {
    let table = snapshot.report(&Report::by(key.clone()).prices(Prices::none()))?;
    Ok(table.rows.into_iter().filter_map(|mut row| row.keys.pop().flatten()).collect())
}

/// Returns whether a text is the end of a path, or a name without its date, version or maker.
fn completes(text: &str, known: &str) -> bool {
    let is_border = |character: char| !character.is_alphanumeric();
    let ends = known.strip_suffix(text).is_some_and(|before| before.ends_with(is_border));
    let begins = known.strip_prefix(text).is_some_and(|rest| rest.starts_with(is_border));
    !text.is_empty() && (ends || begins)
}

/// Returns the values with a small edit distance, the nearest first.
fn nearest<'k>(text: &str, known: &'k [String]) -> Vec<&'k String> {
    let text = text.to_lowercase();
    let mut near: Vec<(usize, &String)> = known
        .iter()
        .filter_map(|known| {
            let lower = known.to_lowercase();
            let last = lower.rsplit(['/', '\\']).next().unwrap_or(&lower);
            let distance = strsim::damerau_levenshtein(&text, &lower).min(strsim::damerau_levenshtein(&text, last));
            let is_near = 3 * distance <= text.chars().count() || lower.contains(&text);
            is_near.then_some((distance, known))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_name_up_to_a_separator_matches_the_whole_name() {
        for (text, known) in [
            ("acme", "/home/me/acme"),
            ("me/acme", "/home/me/acme"),
            ("claude-opus-4-5", "claude-opus-4-5-20251101"),
            ("gpt-5.5", "openai/gpt-5.5"),
        ] {
            assert!(completes(text, known), "{text} {known}");
        }
        for (text, known) in [("cme", "/home/me/acme"), ("gpt-5", "gpt-50"), ("", "x"), ("acme", "acme")] {
            assert!(!completes(text, known), "{text} {known}");
        }
    }

    #[test]
    fn near_values_come_first() {
        let known = ["openai", "anthropic", "/home/me/acme"].map(str::to_owned);
        assert_eq!(nearest("antropic", &known), [&known[1]]);
        assert_eq!(nearest("amce", &known), [&known[2]]);
        assert!(nearest("zzz", &known).is_empty());
    }
}
