//! Numbers and times in all their spellings.

use std::str::FromStr;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;

use crate::model::event::Percent;
use crate::model::time::Timestamp;

/// From this value on seconds since the epoch are milliseconds; as seconds they would be in the year 5138.
const MILLIS_FROM: Decimal = Decimal::from_parts(1_215_752_192, 23, 0, false, 0);

/// A number, possibly as a string: `45`, `"45"`, `"45 %"`.
pub(super) fn number(value: &Value) -> Option<Decimal> {
    match value {
        // The shortest form of a double is its original spelling, up to fifteen digits.
        Value::Number(number) => decimal(&number.to_string()),
        Value::String(text) => decimal(text.trim().trim_end_matches('%').trim_end()),
        _ => None,
    }
}

fn decimal(text: &str) -> Option<Decimal> {
    Decimal::from_str(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

/// A percentage. A negative one means that more than everything is left, so nothing is used.
pub(super) fn percent(value: Decimal) -> Option<Percent> {
    let hundredths = value.max(Decimal::ZERO).checked_mul(Decimal::ONE_HUNDRED)?.round().to_u32()?;
    Some(Percent::from_hundredths(hundredths))
}

/// An instant: seconds or milliseconds since the epoch, as a number or a string, or an ISO 8601 time or date, in UTC
/// without an offset.
pub(super) fn instant(value: &Value) -> Option<Timestamp> {
    if let Value::String(text) = value
        && let Some(at) = iso(text.trim())
    {
        return Some(at);
    }
    let number = number(value)?;
    let factor = if number < MILLIS_FROM { Decimal::ONE_THOUSAND } else { Decimal::ONE };
    let millis = number.checked_mul(factor)?.to_i64()?;
    (0..=Timestamp::MAX.millis()).contains(&millis).then(|| Timestamp::from_millis(millis))
}

fn iso(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let naive = |format| NaiveDateTime::parse_from_str(text, format).ok();
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
    let local = naive("%Y-%m-%dT%H:%M:%S%.f").or_else(|| naive("%Y-%m-%d %H:%M:%S%.f")).or_else(day)?;
    Some(local.and_utc().into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_read_exactly() {
        for (value, text) in [
            (json!(23.5), Some("23.5")),
            (json!("45 %"), Some("45")),
            (json!(" 7 "), Some("7")),
            (json!(1e2), Some("100.0")),
            (json!(true), None),
            (json!("much"), None),
            (json!(""), None),
            (json!(1e300), None),
        ] {
            assert_eq!(number(&value).map(|number| number.to_string()).as_deref(), text, "{value}");
        }
    }

    #[test]
    fn hundredths_are_exact() {
        // As doubles 0.29 x 100 is 28.999…, and 1.005 x 100 is 100.49…
        let hundredths = |text: &str| percent(text.parse().unwrap()).map(Percent::hundredths);
        assert_eq!(hundredths("0.29"), Some(29));
        assert_eq!(hundredths("57.99"), Some(5_799));
        assert_eq!(hundredths("-3"), Some(0));
        assert_eq!(hundredths("79228162514264337593543950335"), None);
    }

    #[test]
    fn instants_have_many_forms() {
        let at = "2026-11-23T23:00:00Z".parse::<Timestamp>().unwrap();
        for value in [
            json!(1_795_474_800),
            json!(1_795_474_800_000_i64),
            json!("1795474800"),
            json!("2026-11-23T23:00:00Z"),
            json!("2026-11-24T00:00:00+01:00"),
            json!("2026-11-23T23:00:00"),
            json!("2026-11-23 23:00:00.000"),
        ] {
            assert_eq!(instant(&value), Some(at), "{value}");
        }
        assert_eq!(instant(&json!("2026-12-01")), Some("2026-12-01T00:00:00Z".parse().unwrap()));
        assert_eq!(instant(&json!(1.5)), Some(Timestamp::from_millis(1_500)));
        for value in [json!(-1), json!(1e30), json!("soon"), json!(null), json!([1])] {
            assert_eq!(instant(&value), None, "{value}");
        }
    }
}
