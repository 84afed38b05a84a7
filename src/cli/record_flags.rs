//! The fields of a token record as flags, for `record` and `amend`.

use clap::Args;

use crate::model::event::TokenRecord;
use crate::model::humanize::duration::read_duration;
use crate::model::provider::ProviderId;
use crate::model::tokens::{MAX_COUNT, TokenClass, Usd};

/// The counts.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Counts")]
pub(crate) struct CountArgs {
    /// Uncached input
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    input: Option<u64>,
    /// Visible output
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    output: Option<u64>,
    /// Input read from a cache
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    cache_read: Option<u64>,
    /// Input written to a cache with an unknown lifetime
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    cache_write: Option<u64>,
    /// Input written to a five-minute cache
    #[arg(long = "cache-write-5m", value_name = "N", value_parser = count, allow_negative_numbers = true)]
    cache_write_5m: Option<u64>,
    /// Input written to a one-hour cache
    #[arg(long = "cache-write-1h", value_name = "N", value_parser = count, allow_negative_numbers = true)]
    cache_write_1h: Option<u64>,
    /// Output spent on reasoning
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    reasoning: Option<u64>,
}

/// Names for grouping, and further facts about the call.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Names")]
pub(crate) struct NameArgs {
    /// The provider that served and metered the tokens, or an alias such as claude or gemini
    #[arg(long)]
    pub provider: Option<ProviderId>,
    /// The subscription or API key, if you have several
    #[arg(long)]
    account: Option<String>,
    /// The model that answered
    #[arg(long)]
    model: Option<String>,
    /// The program that made the call
    #[arg(long)]
    agent: Option<String>,
    /// The project
    #[arg(long)]
    project: Option<String>,
    /// The session of the agent
    #[arg(long)]
    conversation: Option<String>,
    /// A label by which reports can group; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// The cost that the agent or provider reported
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    cost: Option<Usd>,
    /// The duration of the call in milliseconds
    #[arg(long, value_name = "MS", value_parser = count, allow_negative_numbers = true)]
    duration_ms: Option<u64>,
}

impl CountArgs {
    fn given(&self) -> impl Iterator<Item = (TokenClass, u64)> {
        TokenClass::ALL
            .into_iter()
            .zip([
                self.input,
                self.cache_read,
                self.cache_write_5m,
                self.cache_write_1h,
                self.cache_write,
                self.output,
                self.reasoning,
            ])
            .filter_map(|(class, count)| Some((class, count?)))
    }

    pub fn is_empty(&self) -> bool {
        self.given().next().is_none()
    }

    /// Sets the given counts; others do not change.
    pub fn apply(&self, record: &mut TokenRecord) {
        for (class, count) in self.given() {
            record.tokens.set(class, Some(count));
        }
    }
}

impl NameArgs {
    pub fn is_empty(&self) -> bool {
        let texts = [&self.account, &self.model, &self.agent, &self.project, &self.conversation];
        texts.iter().all(|text| text.is_none())
            && self.provider.is_none()
            && self.label.is_empty()
            && self.cost.is_none()
            && self.duration_ms.is_none()
    }

    /// Sets the given fields; others do not change.
    pub fn apply(&self, record: &mut TokenRecord) {
        fn set(field: &mut Option<String>, given: Option<&String>) {
            if let Some(given) = given {
                *field = Some(given.clone());
            }
        }
        if let Some(provider) = &self.provider {
            record.provider = provider.as_str().to_owned().into();
        }
        set(&mut record.account, self.account.as_ref());
        set(&mut record.model, self.model.as_ref());
        set(&mut record.agent, self.agent.as_ref());
        set(&mut record.project, self.project.as_ref());
        set(&mut record.conversation, self.conversation.as_ref());
        record.labels.extend(self.label.iter().cloned());
        record.cost = self.cost.or(record.cost);
        record.duration_ms = self.duration_ms.or(record.duration_ms);
    }
}

/// Parses a count: a whole number, or one in thousands, millions or billions, such as `500k` or `1.5M`.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    whole(text).filter(|count| *count <= MAX_COUNT).ok_or_else(|| {
        format!("a count is a whole number from 0 to {MAX_COUNT}, with k, M or B for thousands, millions or billions")
    })
}

/// Returns the number of `1.5M`; `None` if it is no whole number.
fn whole(text: &str) -> Option<u64> {
    let (number, digits) = match text.char_indices().last()? {
        (end, 'k' | 'K') => (text.get(..end)?, 3),
        (end, 'm' | 'M') => (text.get(..end)?, 6),
        (end, 'b' | 'B' | 'g' | 'G') => (text.get(..end)?, 9),
        _ => (text, 0),
    };
    let (units, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if units.is_empty() || !is_digits(units) || !is_digits(decimals) || decimals.len() > digits {
        return None;
    }
    if number.contains('.') && decimals.is_empty() {
        return None;
    }
    format!("{units}{decimals}{}", "0".repeat(digits - decimals.len())).parse().ok()
}

/// Parses `NAME=VALUE`.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is NAME=VALUE, such as mission=42".to_owned()),
    }
}

/// Parses a duration into milliseconds.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    read_duration(text)
}

/// Refuses an empty text.
pub(crate) fn text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("it is empty: leave it out or give it a name".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_units() {
        for (text, number) in
            [("0", 0), ("500", 500), ("500k", 500_000), ("1.5M", 1_500_000), ("2b", 2_000_000_000), ("0.001k", 1)]
        {
            assert_eq!(count(text), Ok(number), "{text}");
        }
        for text in ["", "k", "-1", "1.5", "1.k", ".5k", "1.0001k", "1e3", "5 k", "9007199254740993", "10000000B", "१k"]
        {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
