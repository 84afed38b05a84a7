//! Texts in cells of a spreadsheet.
//!
//! A spreadsheet runs a cell that begins like a formula, also one that a log or a sender of telemetry named. Such a text
//! gets an apostrophe in front, which spreadsheets take for "this is text". The rule can be undone: if a cell is any number
//! of apostrophes and then a character that begins a formula, one apostrophe was added. Cells of numbers, times and ids are
//! written by this program and are not changed.

use std::borrow::Cow;

/// A foreign text that no spreadsheet runs.
pub(crate) fn text_cell(text: &str) -> Cow<'_, str> {
    if text.trim_start_matches('\'').starts_with(begins_formula) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// What spreadsheets run, with the wide forms that some take for the same.
const fn begins_formula(char: char) -> bool {
    matches!(char, '=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the module's text says of how to undo the rule.
    fn undone(cell: &str) -> &str {
        match cell.strip_prefix('\'') {
            Some(rest) if rest.trim_start_matches('\'').starts_with(begins_formula) => rest,
            _ => cell,
        }
    }

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
        fn every_text_comes_back(text in "['=+@a\\t-]{0,6}") {
            let cell = text_cell(&text);
            prop_assert_eq!(undone(&cell), &text);
        }
    }
}
