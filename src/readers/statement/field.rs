//! Parses the cells of a statement: counts, money and times. No value passes through a float.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::model::time::{DAY, HOUR, MINUTE, Timestamp};
use crate::model::tokens::Usd;

/// Texts that stand for an absent value.
const ABSENT: [&str; 8] = ["", "-", "null", "included", "free", "no charge", "n/a", "nan"];

/// Whether a cell has no value.
pub(super) fn is_absent(text: &str) -> bool {
    ABSENT.iter().any(|absent| text.trim().eq_ignore_ascii_case(absent))
}

fn decimal(text: &str) -> Option<Decimal> {
    let plain: String = text.trim().trim_start_matches('$').chars().filter(|c| *c != ',').collect();
    if plain.contains(['e', 'E']) {
        return Decimal::from_scientific(&plain).ok();
    }
    plain.parse().ok()
}

/// A whole count, times the size of its unit: `59200.0`, `1,234`, `1.5` in thousands.
pub(super) fn count(text: &str, unit: u64) -> Result<u64, String> {
    let value = decimal(text).and_then(|value| value.checked_mul(Decimal::from(unit)));
    value
        .filter(|value| value.is_integer() && (value.is_zero() || value.is_sign_positive()))
        .and_then(|value| value.to_u64())
        .ok_or_else(|| format!("`{text}` is not a whole number of tokens in units of {unit}"))
}

/// An amount in US dollars, given in units of 1/`parts` dollar.
pub(super) fn money(text: &str, parts: u32) -> Result<Usd, String> {
    decimal(text)
        .and_then(|value| value.checked_div(Decimal::from(parts)))
        .and_then(|value| value.normalize().to_string().parse().ok())
        .ok_or_else(|| format!("`{text}` is not an amount of money"))
}

/// A time in UTC: RFC 3339, a date, a date and a time, or seconds or milliseconds since 1970.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    let fault = || format!("`{text}` is not a date or a time: write 2026-05-01 or 2026-05-01T13:00:00Z");
    let plausible = |at: Timestamp| at.is_plausible().then_some(at).ok_or_else(fault);
    if let Some(number) = decimal(text).filter(|_| !text.contains('-')) {
        let number = number.to_i64().ok_or_else(fault)?;
        // Seconds reach this value in the year 5138, milliseconds in 1973.
        let millis = if number.abs() < 100_000_000_000 { number.checked_mul(1_000) } else { Some(number) };
        return millis.map(Timestamp::from_millis).ok_or_else(fault).and_then(plausible);
    }
    let plain = text.trim_end_matches(" UTC").replacen(' ', "T", 1);
    let full = match plain.len() {
        10 => format!("{plain}T00:00:00Z"),
        16 => format!("{plain}:00Z"),
        _ if plain.ends_with('Z') || plain.get(19..).is_some_and(|rest| rest.contains(['+', '-'])) => plain,
        _ => format!("{plain}Z"),
    };
    full.parse().map_err(|_| fault()).and_then(plausible)
}

/// The end of a bucket that states its start alone: the next day for a date, the next hour or minute for a time.
pub(super) fn end_of(text: &str, start: Timestamp) -> Timestamp {
    let text = text.trim();
    if text.len() <= 10 || start.millis().rem_euclid(DAY) == 0 {
        return start.plus(DAY);
    }
    start.plus(if start.millis().rem_euclid(HOUR) == 0 { HOUR } else { MINUTE })
}

/// How many tokens a unit has: `Tokens`, `1K tokens`, `1000_tokens`, `1M Tokens`.
pub(super) fn unit_size(unit: &str) -> Option<u64> {
    let plain: String = unit.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.trim_end_matches('s').strip_suffix("token")? {
        "" | "1" => Some(1),
        "1k" | "k" | "1000" | "thousand" => Some(1_000),
        "1m" | "m" | "1000000" | "million" => Some(1_000_000),
        _ => None,
    }
}
