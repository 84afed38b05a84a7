//! The names that Anthropic gives to windows.

use super::draft::{ObservationDraft, quoted};
use super::length::{self, FIVE_HOURS, SEVEN_DAYS};
use crate::model::secrets;

/// The length and scope of a window's key. Only the two windows for all usage have no scope.
pub(super) fn window(key: &str, draft: &mut ObservationDraft) -> Option<(u32, Option<String>)> {
    match key {
        "five_hour" => Some((FIVE_HOURS, None)),
        "seven_day" => Some((SEVEN_DAYS, None)),
        _ => {
            let Some(minutes) = length::minutes(key) else {
                draft.warn(format!("{} does not tell how long its window is: left out", quoted(key)));
                return None;
            };
            Some((minutes, Some(draft.scope(key)?)))
        }
    }
}

/// The key of one model's week: `Opus` becomes `seven_day_opus`.
pub(super) fn week_of(model: &str) -> String {
    // In other letters and without its marks it could no longer be recognised as a credential.
    let model = secrets::text(model);
    let words = model.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold("seven_day".to_owned(), |name, word| name + "_" + &word.to_lowercase())
}
