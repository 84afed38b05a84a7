//! Edits the TOML settings of Codex. Comments and formatting are preserved.

use toml_edit::{Array, DocumentMut, Item, value};

use super::EditedText;

/// Separates the arguments of this program from those of the previous `notify` program.
const THEN: &str = "--";

/// Returns the arguments of `notify`; `None` if the value is not a list of strings.
fn words(item: &Item) -> Option<Vec<String>> {
    item.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}

/// Returns how many arguments of a `notify` belong to this program; `None` if it does not begin with them.
fn ours(words: &[String]) -> Option<usize> {
    let hook = words.iter().position(|word| word == "hook")?;
    let is_ours = words.first()?.contains("usage-ledger") && words.get(hook + 1).is_some_and(|agent| agent == "codex");
    is_ours.then_some(hook + 2)
}

/// Edits `notify`, the program that Codex runs at the end of each turn. A program that is configured already runs after
/// this one.
pub(super) fn codex(text: &str, command: &[String], undo: bool) -> Result<EditedText, String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("it is no TOML ({error})"))?;
    let before = match document.get("notify") {
        Some(item) => Some(words(item).ok_or("`notify` is no list of texts")?),
        None => None,
    };
    let known = before.as_deref().and_then(ours);
    let after: Option<Vec<String>> = match (&before, known, undo) {
        (Some(words), Some(own), true) => {
            words.get(own..).and_then(|rest| rest.split_first()).map(|(_, rest)| rest.to_vec())
        }
        (_, Some(_), false) | (_, None, true) => return Ok(EditedText { text: text.to_owned(), notes: Vec::new() }),
        (_, _, _) => {
            let own = command.iter().map(String::as_str).chain(["hook", "codex"]).map(str::to_owned);
            let then = before.iter().flat_map(|words| std::iter::once(THEN.to_owned()).chain(words.iter().cloned()));
            Some(own.chain(then).collect())
        }
    };
    match after {
        Some(words) => {
            let mut list = Array::new();
            list.extend(words.iter().map(String::as_str));
            if let Some(item) = document.get_mut("notify") {
                // Keep the decoration of the old value, such as a comment after it.
                let decor = item.as_value().map(|old| old.decor().clone());
                *item = value(list);
                if let (Some(decor), Some(new)) = (decor, item.as_value_mut()) {
                    *new.decor_mut() = decor;
                }
            } else {
                // TOML requires keys of the root before the first table.
                document.insert("notify", value(list));
            }
        }
        None => drop(document.remove("notify")),
    }
    Ok(EditedText { text: document.to_string(), notes: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Vec<String> {
        vec!["usage-ledger".to_owned()]
    }

    const USER: &str = "# mine\nmodel = \"gpt-5.5\"\n\n[tui]\nstatus_line = [\"model\"] # short\n";

    #[test]
    fn settings_and_comments_of_the_user_stay_and_undo_gives_them_back() {
        let added = codex(USER, &command(), false).unwrap().text;
        assert!(added.contains("notify = [\"usage-ledger\", \"hook\", \"codex\"]\n"), "{added}");
        assert!(added.contains("# mine\n") && added.contains("# short\n"), "{added}");
        assert!(added.find("notify").unwrap() < added.find("[tui]").unwrap(), "{added}");
        assert_eq!(codex(&added, &command(), false).unwrap().text, added, "a second run adds nothing");
        assert_eq!(codex(&added, &command(), true).unwrap().text, USER);
    }

    #[test]
    fn a_program_of_the_user_runs_after_ours() {
        let user = "notify = [\"python3\", \"/n.py\"] # beep\n";
        let added = codex(user, &command(), false).unwrap().text;
        assert_eq!(added, "notify = [\"usage-ledger\", \"hook\", \"codex\", \"--\", \"python3\", \"/n.py\"] # beep\n");
        assert_eq!(codex(&added, &command(), true).unwrap().text, user);
    }

    #[test]
    fn unreadable_input_is_refused() {
        for text in ["notify = 5", "notify = [1]", "x ="] {
            assert!(codex(text, &command(), false).is_err(), "{text}");
        }
        assert_eq!(codex("", &command(), true).unwrap().text, "");
    }
}
