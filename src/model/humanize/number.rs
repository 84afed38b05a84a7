//! Short forms for people: numbers, durations, names of models, bars.

#[cfg(feature = "cli")]
use super::duration::compact;
#[cfg(feature = "cli")]
use crate::model::time::SECOND;

/// A number of tokens with one decimal of thousands, millions or billions. A number that rounds up to 1,000 of a unit
/// uses the next unit.
pub fn tokens(count: impl Into<u128>) -> String {
    let count = count.into();
    if count < 1_000 { count.to_string() } else { scaled_to_unit(count, |_| 1) }
}

/// A number in at most six characters: `9,999`, `12.3k`, `1.37B`. Above 10,000 it has three significant digits.
#[cfg(feature = "cli")]
pub(crate) fn scaled(number: u128) -> String {
    if number < 10_000 {
        return grouped(number);
    }
    scaled_to_unit(number, |whole| match whole {
        0..10 => 2,
        10..100 => 1,
        _ => 0,
    })
}

/// A number of at least a thousand, in the unit in which it has one to three digits before the point, rounded half up.
/// `decimals` gives the number of decimals for a whole part.
fn scaled_to_unit(number: u128, decimals: impl Fn(u128) -> u32) -> String {
    const UNITS: [&str; 10] = ["k", "M", "B", "T", "P", "E", "Z", "Y", "R", "Q"];
    let mut unit = 1_000_u128;
    for (place, name) in UNITS.into_iter().enumerate() {
        let is_last = place + 1 == UNITS.len();
        let mut digits = decimals(number / unit);
        let rounded = |digits: u32| number.saturating_mul(10_u128.pow(digits)).saturating_add(unit / 2) / unit;
        // Rounding up may add a digit before the point, which removes one after it.
        let whole = rounded(digits) / 10_u128.pow(digits);
        digits = digits.min(decimals(whole));
        let (scale, shown) = (10_u128.pow(digits), rounded(digits));
        if shown / scale < 1_000 || is_last {
            let (whole, rest) = (shown / scale, shown % scale);
            return match usize::try_from(digits) {
                Ok(width @ 1..) => format!("{whole}.{rest:0width$}{name}"),
                _ => format!("{whole}{name}"),
            };
        }
        unit *= 1_000;
    }
    number.to_string()
}

/// A number of seconds in its two largest units.
#[cfg(feature = "cli")]
pub fn duration(seconds: u64) -> String {
    compact(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND))
}

/// A model's name without the maker and without the date of the release.
#[cfg(feature = "cli")]
pub fn model(name: &str) -> &str {
    let name = name.strip_prefix("claude-").unwrap_or(name);
    let is_date = |tail: &str| tail.len() >= 8 && tail.bytes().take(8).all(|byte| byte.is_ascii_digit());
    let date = name.match_indices("-20").find(|(at, _)| name.get(at + 1..).is_some_and(is_date));
    date.and_then(|(at, _)| name.get(..at)).filter(|bare| !bare.is_empty()).unwrap_or(name)
}

/// The family of a model: the name of Claude's models; otherwise the name without numbers.
#[cfg(feature = "cli")]
pub fn family(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let known = [("opus", "Opus"), ("sonnet", "Sonnet"), ("haiku", "Haiku")];
    if let Some((_, family)) = known.iter().find(|(part, _)| lower.contains(part)) {
        return family;
    }
    match name.strip_prefix("claude-") {
        Some(rest) => rest.split('-').next().filter(|word| !word.is_empty()).unwrap_or(name),
        None => name,
    }
}

/// Ten cells; one is filled for every full ten percent.
#[cfg(feature = "cli")]
pub fn bar(percent: u32) -> String {
    let filled = usize::try_from(percent / 10).unwrap_or(10).min(10);
    "●".repeat(filled) + &"○".repeat(10 - filled)
}

/// A number with separated thousands.
pub fn grouped(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 request`, `1,200 requests`.
pub(crate) fn counted(number: impl Into<u128>, one: &str) -> String {
    let number = number.into();
    format!("{} {one}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_rounds_up_to_a_thousand_uses_the_next_unit() {
        for (number, text) in [
            (1_049, "1.0k"),
            (1_050, "1.1k"),
            (999_949, "999.9k"),
            (999_950, "1.0M"),
            (999_999, "1.0M"),
            (999_999_999, "1.0B"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(tokens(number), text, "{number}");
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn a_scaled_number_has_six_characters_at_most() {
        for (number, text) in [
            (0, "0"),
            (9_999, "9,999"),
            (10_000, "10.0k"),
            (99_949, "99.9k"),
            (99_950, "100k"),
            (999_499, "999k"),
            (999_500, "1.00M"),
            (999_999, "1.00M"),
            (1_371_522_251, "1.37B"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(scaled(number.into()), text, "{number}");
        }
    }
}
