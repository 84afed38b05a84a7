//! Claude Code's status line: `rate_limits.{five_hour,seven_day}{used_percentage, resets_at}`, in percent, which may
//! exceed 100, and in seconds since the epoch. Subscribers have it from the first reply on.

use serde_json::Value;

use super::claude_windows::{week_of, window};
use super::draft::{ObservationDraft, ObservedWindow, RESETS, USED, quoted, text};
use super::length::SEVEN_DAYS;
use crate::model::error::Result;

/// A list of windows, not a window itself.
const MODELS: &str = "model_scoped";

pub(super) fn read(document: &str, draft: &mut ObservationDraft) -> Result<()> {
    let document = draft.object(document)?;
    let limits = match document.get("rate_limits") {
        Some(Value::Object(limits)) => limits,
        None | Some(Value::Null) => {
            draft.warn("no `rate_limits`: Claude Code tells them to subscribers only, and after the first answer");
            return Ok(());
        }
        Some(_) => return Err(draft.refuse("has `rate_limits` that are not an object")),
    };
    for (key, value) in limits {
        if key == MODELS {
            models(value, draft);
            continue;
        }
        let Value::Object(fields) = value else {
            if !value.is_null() {
                draft.warn(format!("{} is not an object: left out", quoted(key)));
            }
            continue;
        };
        let Some((minutes, scope)) = window(key, draft) else { continue };
        let used = draft.used(key, fields, USED);
        let resets_at = draft.reset(key, fields, RESETS);
        draft.see(ObservedWindow { minutes, scope, used, resets_at, status: None });
    }
    draft.warn_if_silent("`rate_limits` names no window");
    Ok(())
}

/// The weekly windows of single models.
fn models(list: &Value, draft: &mut ObservationDraft) {
    for one in list.as_array().into_iter().flatten() {
        let Some((fields, name)) = one.as_object().and_then(|one| Some((one, text(one, &["display_name", "id"])?)))
        else {
            draft.warn(format!("{} has a window without a name: left out", quoted(MODELS)));
            continue;
        };
        let Some(scope) = draft.scope(&week_of(name)) else { continue };
        let used = draft.used(name, fields, USED);
        let resets_at = draft.reset(name, fields, RESETS);
        draft.see(ObservedWindow { minutes: SEVEN_DAYS, scope: Some(scope), used, resets_at, status: None });
    }
}
