//! Compares answers field by field.

use serde_json::Value;

/// Every difference between an answer and the expected one. A partial answer may lack fields, but no rows.
pub(super) fn differences(expected: &Value, found: &Value, is_partial: bool) -> Vec<String> {
    let mut all = Vec::new();
    compare("", expected, found, is_partial, &mut all);
    all
}

fn compare(path: &str, expected: &Value, found: &Value, is_partial: bool, all: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(wanted), Value::Object(given)) => {
            for (name, value) in given {
                match wanted.get(name) {
                    Some(wanted) => compare(&format!("{path}/{name}"), wanted, value, is_partial, all),
                    None => all.push(format!("{path}/{name}: {value} is no field of the answer")),
                }
            }
            for name in wanted.keys().filter(|name| !is_partial && !given.contains_key(*name)) {
                all.push(format!("{path}/{name}: missing"));
            }
        }
        (Value::Array(wanted), Value::Array(given)) => {
            if wanted.len() != given.len() {
                all.push(format!("{path}: {} items, not {}", given.len(), wanted.len()));
            }
            for (number, (wanted, given)) in wanted.iter().zip(given).enumerate() {
                compare(&format!("{path}/{number}"), wanted, given, is_partial, all);
            }
        }
        _ if expected == found => {}
        _ => all.push(format!("{path}: {found}, not {expected}")),
    }
}

/// The JSON pointers of all fields that contain no others.
pub(super) fn leaves(value: &Value) -> Vec<String> {
    let below = |name: String, part: &Value| {
        // Names of keys may contain what a pointer separates by.
        let name = name.replace('~', "~0").replace('/', "~1");
        leaves(part).into_iter().map(|rest| format!("/{name}{rest}")).collect::<Vec<_>>()
    };
    match value {
        Value::Object(members) => members.iter().flat_map(|(name, part)| below(name.clone(), part)).collect(),
        Value::Array(items) => items.iter().enumerate().flat_map(|(n, part)| below(n.to_string(), part)).collect(),
        _ => vec![String::new()],
    }
}
