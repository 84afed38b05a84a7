//! What else the price of a call depends on: how it was asked for, and how long its prompt was.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::model::event::{SERVICE_TIER, is_special};
use crate::model::tokens::{TokenClass, Tokens};

/// Lengths of prompts, in tokens, above which models commonly cost more. The rollups tell calls apart by these; a price
/// that changes elsewhere is worked out from the records.
const BORDERS: [u64; 5] = [100_000, 199_999, 200_000, 256_000, 272_000];

/// How a call was asked for, if its labels say so and it is not the ordinary way.
pub(crate) fn service_of(labels: &BTreeMap<String, String>) -> Option<&str> {
    labels.get(SERVICE_TIER).map(String::as_str).filter(|tier| is_special(tier))
}

/// The length of a call's prompt: all that went in, cached or not.
pub(crate) fn prompt(tokens: &Tokens) -> u64 {
    let classes = [
        TokenClass::Input,
        TokenClass::CacheRead,
        TokenClass::CacheWrite5m,
        TokenClass::CacheWrite1h,
        TokenClass::CacheWrite,
    ];
    classes.into_iter().fold(0, |sum, class| sum.saturating_add(tokens.get(class).unwrap_or(0)))
}

/// What the price of a call depends on besides its provider, model and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tariff<'a> {
    pub service: Option<&'a str>,
    /// The length of the prompt in tokens; of a row of many calls, a length that costs what all of theirs do.
    pub prompt: u64,
    /// Whether `prompt` is a call's own, not one that stands for many.
    pub exact: bool,
}

impl<'a> Tariff<'a> {
    /// That of one call.
    pub fn of(tokens: &Tokens, labels: &'a BTreeMap<String, String>) -> Self {
        Self { service: service_of(labels), prompt: prompt(tokens), exact: true }
    }

    /// That of one call with these counts, in the order of [`TokenClass::ALL`].
    pub fn of_counts(service: Option<&'a str>, counts: [u128; 7]) -> Self {
        let of_prompt = |class: &TokenClass| !matches!(class, TokenClass::Output | TokenClass::Reasoning);
        let parts = TokenClass::ALL.iter().zip(counts).filter(|(class, _)| of_prompt(class));
        let prompt = parts.fold(0_u64, |sum, (_, count)| sum.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)));
        Self { service, prompt, exact: true }
    }

    /// The part of a row's key that tells tariffs apart: empty for the ordinary one.
    pub fn key(&self) -> Cow<'a, str> {
        match (self.service, border(self.prompt)) {
            (None, None) => Cow::Borrowed(""),
            (Some(service), None) if service.contains('>') => Cow::Owned(format!("{service}>")),
            (Some(service), None) => Cow::Borrowed(service),
            (service, Some(border)) => Cow::Owned(format!("{}>{border}", service.unwrap_or_default())),
        }
    }

    /// Reads the part of a row's key.
    pub fn from_key(key: &'a str) -> Self {
        let (service, border) = match key.rsplit_once('>') {
            Some((service, border)) => (service, border.parse::<u64>().ok()),
            None => (key, None),
        };
        let prompt = border.map_or(0, |border| border.saturating_add(1));
        Self { service: (!service.is_empty()).then_some(service), prompt, exact: false }
    }

    /// Whether every call of this tariff is on the same side of a price's border.
    pub fn knows(&self, start: u64) -> bool {
        self.exact || BORDERS.contains(&start)
    }
}

/// The highest border that a prompt is above.
fn border(prompt: u64) -> Option<u64> {
    BORDERS.iter().rev().copied().find(|border| prompt > *border)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_on_the_same_side_of_every_border() {
        for service in [None, Some("batch"), Some("a>b")] {
            for prompt in [0, 1, 100_000, 100_001, 199_999, 200_000, 200_001, 256_001, 272_000, 272_001, 9_999_999] {
                let tariff = Tariff { service, prompt, exact: true };
                let key = tariff.key();
                let read = Tariff::from_key(&key);
                assert_eq!(read.service, service, "{key}");
                for start in BORDERS {
                    assert_eq!(read.prompt > start, prompt > start, "{key} at {start}");
                }
            }
        }
    }

    #[test]
    fn ordinary_tiers_have_no_key() {
        let labels = |tier: &str| BTreeMap::from([(SERVICE_TIER.to_owned(), tier.to_owned())]);
        let tokens = Tokens { input: Some(100_000), output: Some(1 << 30), ..Tokens::default() };
        for tier in ["standard", "Default", ""] {
            assert_eq!(Tariff::of(&tokens, &labels(tier)).key(), "", "{tier}");
        }
        assert_eq!(Tariff::of(&tokens, &labels("batch")).key(), "batch");
        let long = Tokens { cache_read: Some(1), ..tokens };
        assert_eq!(Tariff::of(&long, &BTreeMap::new()).key(), ">100000");
    }
}
