//! The effective budget mode of a provider.

use crate::model::event::BudgetMode;

/// The effective budget mode, and warnings.
pub fn effective_mode(setting: Option<&str>, unlimited: bool, metered: bool) -> (BudgetMode, Vec<String>) {
    let mut trail = Vec::new();
    let mut mode = match setting.map(str::trim) {
        None => {
            trail.push("no budget mode is set: session_only".to_owned());
            BudgetMode::default()
        }
        Some(text) => {
            let known = text.parse::<BudgetMode>();
            trail.push(match &known {
                Ok(mode) => format!("the budget mode is set: {}", mode.name()),
                Err(_) => format!("`{text}` is no budget mode: session_only"),
            });
            known.unwrap_or_default()
        }
    };
    if unlimited {
        trail.push("the quota is declared unlimited: disabled".to_owned());
        mode = BudgetMode::Disabled;
    }
    if !metered {
        trail.push("the provider has no API quota: disabled".to_owned());
        mode = BudgetMode::Disabled;
    }
    (mode, trail)
}
