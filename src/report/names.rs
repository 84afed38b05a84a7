//! Names of the ledger: completes a value that is part of a name, and suggests names for a value that no call has.

#[cfg(feature = "cli")]
use super::ReportTable;
use super::{Report, ReportKey};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::readers::price::Prices;

/// Maximum number of values in a message.
const NAMED: usize = 5;
/// Minimum length of the beginning of a conversation's id.
const LEAST_ID: usize = 4;
/// What may end the path of a project and does not belong to its name.
const SEPARATORS: [char; 2] = ['/', '\\'];

/// A value after its completion.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CompletedName {
    /// A call has the value.
    Known,
    /// The unique name that the value is part of.
    Completed(String),
    /// No call has the value, and it is part of these names: none or several. The sentence says so.
    Unknown { completions: Vec<String>, note: String },
}

/// Completes a value of a key. `names` are those of the ledger.
fn complete(key: &ReportKey, value: &str, names: &[String]) -> CompletedName {
    if names.iter().any(|known| known == value) {
        return CompletedName::Known;
    }
    let name = key.name();
    if let Some(only) = unique(key, value, names) {
        return CompletedName::Completed(only.clone());
    }
    let completed = completions(key, value, names);
    let near = if completed.is_empty() { nearest(value, names) } else { completed.clone() };
    let quoted: Vec<String> = near.iter().take(NAMED).map(|known| format!("`{known}`")).collect();
    let note = match (quoted.is_empty(), names.is_empty()) {
        (false, _) => format!("no call has the {name} `{value}`: did you mean {}?", quoted.join(", ")),
        (true, true) => format!("no call has any {name}"),
        (true, false) => format!("no call has the {name} `{value}`: `usage-ledger report --by {name}` lists all"),
    };
    CompletedName::Unknown { completions: completed.into_iter().cloned().collect(), note }
}

/// The only name that a value is part of, or equals except for the end of a path.
fn unique<'n>(key: &ReportKey, value: &str, names: &'n [String]) -> Option<&'n String> {
    let is_project = *key == ReportKey::Project;
    if let Some(same) = names.iter().find(|known| is_project && is_same_project(value, known)) {
        return Some(same);
    }
    let completed = completions(key, value, names);
    let (first, others) = completed.split_first()?;
    others.iter().all(|other| is_project && is_same_project(first, other)).then_some(first)
}

/// The names that a value is part of.
pub(crate) fn completions<'n>(key: &ReportKey, value: &str, names: &'n [String]) -> Vec<&'n String> {
    let is_id = *key == ReportKey::Conversation && value.len() >= LEAST_ID;
    let is_project = *key == ReportKey::Project;
    let is_full = |known: &&String| {
        let of_path = is_project && completes(project_name(value), project_name(known));
        of_path || completes(value, known) || (is_id && known.starts_with(value))
    };
    names.iter().filter(is_full).collect()
}

/// The name of a project without what a shell appends to the path of a directory.
pub(crate) fn project_name(project: &str) -> &str {
    let name = project.trim_end_matches(SEPARATORS);
    if name.is_empty() { project } else { name }
}

/// Whether two texts name one project.
pub(crate) fn is_same_project(one: &str, other: &str) -> bool {
    project_name(one) == project_name(other)
}

impl Snapshot<'_> {
    /// The values of a key in the calls of the ledger.
    pub(crate) fn names(&self, key: &ReportKey) -> Result<Vec<String>> {
        let table = self.report(&Report::by(key.clone()).prices(Prices::none()))?;
        Ok(table.rows.into_iter().filter_map(|mut row| row.keys.pop().flatten()).collect())
    }

    /// Completes the name of a project.
    pub(crate) fn complete_project(&self, project: &str) -> Result<CompletedName> {
        Ok(complete(&ReportKey::Project, project, &self.names(&ReportKey::Project)?))
    }

    /// Answers a report. If no call passes its filters, it completes their values and asks again. Returns the report that
    /// was answered, and one sentence for each completed or unknown value.
    #[cfg(feature = "cli")]
    pub(crate) fn report_completed(&self, report: Report) -> Result<(ReportTable, Report, Vec<String>)> {
        let answer = self.report(&report)?;
        if answer.total.requests > 0 || report.filters.is_empty() {
            return Ok((answer, report, Vec::new()));
        }
        let (mut notes, mut is_changed) = (Vec::new(), false);
        let mut completed = report.clone();
        for (key, value) in &mut completed.filters {
            match complete(key, value, &self.names(key)?) {
                CompletedName::Known => {}
                CompletedName::Completed(full) => {
                    notes.push(taken_for(key, value, &full));
                    *value = full;
                    is_changed = true;
                }
                CompletedName::Unknown { note, .. } => notes.push(note),
            }
        }
        if !is_changed {
            return Ok((answer, report, notes));
        }
        Ok((self.report(&completed)?, completed, notes))
    }
}

/// The sentence about a completed value.
pub(crate) fn taken_for(key: &ReportKey, value: &str, full: &str) -> String {
    format!("{} `{value}` is taken for `{full}`", key.name())
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
    fn the_separator_behind_a_path_does_not_matter() {
        let names = ["/home/me/acme", "/home/me/other/"].map(str::to_owned);
        let completed = |value: &str| complete(&ReportKey::Project, value, &names);
        for value in ["/home/me/acme/", "acme/", "me/acme//"] {
            assert_eq!(completed(value), CompletedName::Completed(names[0].clone()), "{value}");
        }
        assert_eq!(completed("/home/me/other"), CompletedName::Completed(names[1].clone()));
        assert_eq!(completed("other"), CompletedName::Completed(names[1].clone()));
        assert_eq!(completed("/home/me/other/"), CompletedName::Known);
        assert!(matches!(completed("/"), CompletedName::Unknown { .. }));
        let one = ["/home/me/acme", "/home/me/acme/"].map(str::to_owned);
        assert_eq!(complete(&ReportKey::Project, "acme", &one), CompletedName::Completed(one[0].clone()));
        let several = ["/home/me/acme", "/srv/acme"].map(str::to_owned);
        let CompletedName::Unknown { note, .. } = complete(&ReportKey::Project, "acme/", &several) else { panic!() };
        assert!(note.ends_with("did you mean `/home/me/acme`, `/srv/acme`?"), "{note}");
    }

    #[test]
    fn near_values_come_first() {
        let known = ["openai", "anthropic", "/home/me/acme"].map(str::to_owned);
        assert_eq!(nearest("antropic", &known), [&known[1]]);
        assert_eq!(nearest("amce", &known), [&known[2]]);
        assert!(nearest("zzz", &known).is_empty());
    }
}
