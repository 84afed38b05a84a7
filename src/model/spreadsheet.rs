//! Texts in spreadsheet cells.
//!
//! A spreadsheet evaluates a cell that begins like a formula, even if the text comes from a log or from telemetry. Such
//! a text gets a leading apostrophe, which spreadsheets interpret as "this is text". The rule can be reversed: if a
//! cell is any number of apostrophes followed by a character that begins a formula, one apostrophe was added. Cells
//! with numbers, times and ids are written by this program and not changed.

use std::borrow::Cow;

/// Escapes a foreign text for a cell.
pub(crate) fn text_cell(text: &str) -> Cow<'_, str> {
    if text.trim_start_matches('\'').starts_with(begins_formula) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text of a cell: reverses the rule.
#[cfg(any(feature = "cli", test))]
pub(crate) fn undone(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.trim_start_matches('\'').starts_with(begins_formula) => rest,
        _ => cell,
    }
}

/// Returns whether spreadsheets evaluate cells that begin with this character. Some treat the full-width forms alike.
const fn begins_formula(char: char) -> bool {
    matches!(char, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn formulas_become_texts() {
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"] {
            assert_eq!(text_cell(formula), format!("'{formula}"));
        }
        for plain in ["", "a=b", "'tis", "claude-opus-4-5", "1"] {
            assert_eq!(text_cell(plain), plain);
        }
    }

    proptest! {
        #[test]
        fn every_text_round_trips(text in "['=+@a\\t-]{0,6}") {
            let cell = text_cell(&text);
            prop_assert_eq!(undone(&cell), &text);
        }
    }
}
