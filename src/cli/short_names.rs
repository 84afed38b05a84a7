//! Short names of projects, models and conversations in tables: the shortest that tell the values of a column apart.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::report::ReportKey;

/// The digits of a date at the end of a model's name: `20251101`.
const DATE: usize = 8;

/// The characters of the beginning of a conversation's id, with which `--conversation` finds it.
const BEGINNING: usize = 8;

/// Gives each value of a column a name to show. Values of other keys stay as they are. Only a terminal has short ids.
pub(super) fn shortened<'v>(
    key: &ReportKey,
    values: impl Iterator<Item = &'v str>,
    is_terminal: bool,
) -> BTreeMap<&'v str, String> {
    let values: BTreeSet<&str> = values.collect();
    let candidates: fn(&str) -> Vec<String> = match key {
        ReportKey::Project => endings,
        ReportKey::Model => undated,
        ReportKey::Conversation if is_terminal => beginnings,
        _ => |value| vec![value.to_owned()],
    };
    let all: Vec<(&str, Vec<String>)> = values.into_iter().map(|value| (value, candidates(value))).collect();
    // The value that each name may stand for; `None` if several values may have it.
    let mut owners: HashMap<&str, Option<&str>> = HashMap::new();
    for (value, names) in &all {
        for name in names.iter().map(String::as_str).chain([*value]) {
            let owner = owners.entry(name).or_insert(Some(value));
            *owner = owner.filter(|owner| owner == value);
        }
    }
    let is_taken = |name: &str, of: &str| owners.get(name) != Some(&Some(of));
    all.iter()
        .map(|(value, names)| {
            let free = names.iter().find(|name| !is_taken(name, value));
            (*value, free.cloned().unwrap_or_else(|| (*value).to_owned()))
        })
        .collect()
}

/// The ends of a path, the shortest first: `acme`, `me/acme`, `/home/me/acme`.
fn endings(path: &str) -> Vec<String> {
    let trimmed = path.trim_end_matches(['/', '\\']);
    let borders = trimmed.rmatch_indices(['/', '\\']).map(|(at, _)| at + 1);
    let ends = borders.filter_map(|at| trimmed.get(at..)).filter(|end| !end.is_empty()).map(str::to_owned);
    ends.chain([path.to_owned()]).collect()
}

/// The beginning of an id, then the whole id.
fn beginnings(id: &str) -> Vec<String> {
    let short = id.char_indices().nth(BEGINNING).and_then(|(end, _)| id.get(..end));
    short.map(str::to_owned).into_iter().chain([id.to_owned()]).collect()
}

/// A model without the date at its end, then with it.
fn undated(model: &str) -> Vec<String> {
    let short = model.rsplit_once(['-', '@']).filter(|(name, date)| {
        !name.is_empty()
            && date.len() == DATE
            && date.bytes().all(|byte| byte.is_ascii_digit())
            && date.starts_with("20")
    });
    short.map(|(name, _)| name.to_owned()).into_iter().chain([model.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &ReportKey, values: &[&'static str]) -> Vec<String> {
        let names = shortened(key, values.iter().copied(), true);
        values.iter().map(|value| names[value].clone()).collect()
    }

    #[test]
    fn a_project_has_the_shortest_unique_name() {
        assert_eq!(of(&ReportKey::Project, &["/home/me/acme", "C:\\src\\tool", "plain"]), ["acme", "tool", "plain"]);
        assert_eq!(of(&ReportKey::Project, &["/a/x/acme", "/b/x/acme", "/b/y/"]), ["a/x/acme", "b/x/acme", "y"]);
        assert_eq!(of(&ReportKey::Project, &["acme", "/home/acme"]), ["acme", "home/acme"]);
        assert_eq!(of(&ReportKey::Project, &["/", "//"]), ["/", "//"]);
    }

    #[test]
    fn the_date_of_a_model_is_omitted_unless_two_models_differ_only_by_it() {
        let models = ["claude-opus-4-5-20251101", "gpt-5", "claude-3-opus@20240229"];
        assert_eq!(of(&ReportKey::Model, &models), ["claude-opus-4-5", "gpt-5", "claude-3-opus"]);
        let models = ["m-20250101", "m-20260101"];
        assert_eq!(of(&ReportKey::Model, &models), models);
        assert_eq!(of(&ReportKey::Model, &["m-20250101", "m"]), ["m-20250101", "m"]);
        assert_eq!(of(&ReportKey::Account, &["/a/20250101"]), ["/a/20250101"]);
    }

    #[test]
    fn a_conversation_has_the_beginning_of_its_id_unless_two_begin_alike() {
        let ids = ["0e542669-1631", "13b946e3-8637", "13b946e3-9999", "short"];
        assert_eq!(of(&ReportKey::Conversation, &ids), ["0e542669", ids[1], ids[2], "short"]);
    }
}
