//! Parses the cells of a statement: counts, money and times. No value passes through a float.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::model::time::{DAY, HOUR, MINUTE, Timestamp};
use crate::model::tokens::Usd;

/// Decimal places of an amount. Exports spell amounts as floats with more of them.
const USD_PLACES: u32 = 12;
/// Texts that stand for an absent value.
const ABSENT: [&str; 8] = ["", "-", "null", "included", "free", "no charge", "n/a", "nan"];

/// Whether a cell has no value.
pub(super) fn is_absent(text: &str) -> bool {
    ABSENT.iter().any(|absent| text.trim().eq_ignore_ascii_case(absent))
}

/// A decimal number: `59200.0`, `1,234`, `-$0.5`, `($0.5)`, `1e-5`. A comma separates thousands and nothing else.
fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    let in_brackets = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let mut plain = in_brackets.unwrap_or(text);
    let mut is_negative = in_brackets.is_some();
    for sign in ['-', '$', '-'] {
        if let Some(rest) = plain.strip_prefix(sign) {
            if sign == '-' && is_negative {
                return None;
            }
            is_negative |= sign == '-';
            plain = rest.trim_start();
        }
    }
    if !plain.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value = if plain.contains(['e', 'E']) {
        Decimal::from_scientific(plain).ok()?
    } else {
        without_thousands(plain)?.parse().ok()?
    };
    Some(if is_negative { -value } else { value })
}

/// Removes the commas between groups of three digits. `1,5` and `1.234,5` are no numbers of this form.
fn without_thousands(text: &str) -> Option<String> {
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    if part.is_some_and(|part| part.contains(',')) {
        return None;
    }
    let groups: Vec<&str> = whole.split(',').collect();
    let is_grouped =
        |(index, group): (usize, &&str)| if index == 0 { (1..=3).contains(&group.len()) } else { group.len() == 3 };
    if groups.len() > 1 && !groups.iter().enumerate().all(is_grouped) {
        return None;
    }
    Some(format!("{}{}{}", groups.concat(), if part.is_some() { "." } else { "" }, part.unwrap_or_default()))
}

/// A whole count, times the size of its unit: `59200.0`, `1,234`, `1.5` in thousands.
///
/// Exports spell counts as floats, so a count may miss a whole number by less than a millionth: `1.2340000000000002`.
pub(super) fn count(text: &str, unit: u64) -> Result<u64, String> {
    let near = |value: Decimal| {
        let whole = value.round();
        ((value - whole).abs() < Decimal::new(1, 6)).then_some(whole)
    };
    decimal(text)
        .and_then(|value| value.checked_mul(Decimal::from(unit)))
        .and_then(near)
        .filter(|value| value.is_zero() || value.is_sign_positive())
        .and_then(|value| value.to_u64())
        .ok_or_else(|| format!("`{text}` is not a whole number of tokens in units of {unit}"))
}

/// An amount in US dollars, given in units of 1/`parts` dollar.
pub(super) fn money(text: &str, parts: u32) -> Result<Usd, String> {
    decimal(text)
        .and_then(|value| value.checked_div(Decimal::from(parts)))
        .and_then(|value| value.round_dp(USD_PLACES).normalize().to_string().parse().ok())
        .ok_or_else(|| format!("`{text}` is not an amount of money: write 1234.50 or 1,234.50"))
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

/// The precision of a start in milliseconds: a day for a date, else the longest of day, hour and minute that it begins.
/// Seconds since 1970 are no date, although they are as long.
pub(super) fn precision(text: &str, start: Timestamp) -> i64 {
    let begins = |length: &i64| start.millis().rem_euclid(*length) == 0;
    if text.trim().len() <= 10 && text.contains('-') {
        DAY
    } else {
        [DAY, HOUR].into_iter().find(begins).unwrap_or(MINUTE)
    }
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
