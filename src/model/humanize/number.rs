//! Short forms for people: numbers, durations, names of models, bars.
//!
//! ```
//! use usage_ledger::humanize::number;
//! assert_eq!(humanize::number::tokens(16_500), "16.5k");
//! assert_eq!(humanize::number::duration(342), "5m42s");
//! assert_eq!(humanize::number::bar(50), "●●●●●○○○○○");
//! ```

/// A number of tokens with one decimal of thousands or millions.
///
/// ```
/// use usage_ledger::humanize::number::tokens;
/// assert_eq!([999, 1_000, 12_000, 2_500_000].map(tokens), ["999", "1.0k", "12.0k", "2.5M"]);
/// ```
pub fn tokens(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{:.1}k", count as f64 / 1e3),
        _ => format!("{:.1}M", count as f64 / 1e6),
    }
}

/// A number of seconds in its two largest units.
///
/// ```
/// use usage_ledger::humanize::number::duration;
/// assert_eq!([45, 342, 3_720].map(duration), ["45s", "5m42s", "1h02m"]);
/// ```
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// A model's name without the maker's and without the date of the release.
///
/// ```
/// use usage_ledger::humanize::number::model;
/// assert_eq!(model("claude-sonnet-4-20250514"), "sonnet-4");
/// assert_eq!(model("gpt-5-codex"), "gpt-5-codex");
/// ```
pub fn model(name: &str) -> &str {
    let name = name.strip_prefix("claude-").unwrap_or(name);
    let is_date = |tail: &str| tail.len() >= 8 && tail.bytes().take(8).all(|byte| byte.is_ascii_digit());
    let date = name.match_indices("-20").find(|(at, _)| name.get(at + 1..).is_some_and(is_date));
    date.and_then(|(at, _)| name.get(..at)).filter(|bare| !bare.is_empty()).unwrap_or(name)
}

/// The family of a model in a word: of Claude's models its name, of others all but the numbers.
///
/// ```
/// use usage_ledger::humanize::number::family;
/// assert_eq!(family("claude-haiku-4-5-20251001"), "Haiku");
/// assert_eq!(family("claude-future-1"), "future");
/// assert_eq!(family("gpt-5-codex"), "gpt-5-codex");
/// ```
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

/// Ten cells, one filled for every ten percent that are used in full.
///
/// ```
/// use usage_ledger::humanize::number::bar;
/// assert_eq!([0, 29, 150].map(bar), ["○○○○○○○○○○", "●●○○○○○○○○", "●●●●●●●●●●"]);
/// ```
pub fn bar(percent: u32) -> String {
    let filled = usize::try_from(percent / 10).unwrap_or(10).min(10);
    "●".repeat(filled) + &"○".repeat(10 - filled)
}

/// A number with its thousands apart.
///
/// ```
/// assert_eq!(usage_ledger::humanize::number::grouped(1_234_567), "1,234,567");
/// ```
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
