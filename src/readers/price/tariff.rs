//! Tariffs: what determines the price of a call besides provider, model and time, namely service tier, region, prompt
//! length, and uses besides text.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::extras::Extras;
use crate::model::event::{INFERENCE_GEO, SERVICE_TIER, TokenRecord, TokenView, is_special, is_special_geo};
use crate::model::tokens::{TokenClass, Tokens};

/// Prompt lengths, in tokens, above which models commonly cost more. The rollups separate calls at these. A price with
/// another threshold is computed from the records.
const BORDERS: [u64; 5] = [100_000, 199_999, 200_000, 256_000, 272_000];

/// Separates the region and the extras in a row's key. No name of a tier contains it.
const NEXT: char = '\u{1f}';

/// The service tier of a call, if its labels state a special one.
pub(crate) fn service_of(labels: &BTreeMap<String, String>) -> Option<&str> {
    labels.get(SERVICE_TIER).map(String::as_str).filter(|tier| is_special(tier))
}

/// The region of a call, if its labels state a special one.
fn geo_of(labels: &BTreeMap<String, String>) -> Option<&str> {
    labels.get(INFERENCE_GEO).map(String::as_str).filter(|geo| is_special_geo(geo) && !geo.contains(NEXT))
}

/// The length of a call's prompt: all input, cached or not.
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

/// What determines the price of a call besides its provider, model and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tariff<'a> {
    pub service: Option<&'a str>,
    /// The region that the caller chose.
    pub geo: Option<&'a str>,
    /// The extras of each call.
    pub extras: Extras<'a>,
    /// The length of the prompt in tokens; for a row of many calls, a length with the same price as all of theirs.
    pub prompt: u64,
    /// Whether `prompt` is the length of one call, not a representative of many.
    pub exact: bool,
}

impl<'a> Tariff<'a> {
    /// The tariff of one call.
    pub fn of(record: &'a TokenView<'_>) -> Self {
        let extras = Extras::of(&record.modalities, &record.server_tools);
        let (service, geo) = (service_of(&record.labels), geo_of(&record.labels));
        Self { service, geo, extras, prompt: prompt(&record.tokens), exact: true }
    }

    /// The tariff of one call, from a whole record.
    pub fn of_record(record: &'a TokenRecord) -> Self {
        let extras = Extras::of(&record.modalities, &record.server_tools);
        let (service, geo) = (service_of(&record.labels), geo_of(&record.labels));
        Self { service, geo, extras, prompt: prompt(&record.tokens), exact: true }
    }

    /// The tariff of one call with these counts, in the order of [`TokenClass::ALL`], in a row with this tariff.
    pub fn of_counts(self, counts: [u128; 7]) -> Self {
        let of_prompt = |class: &TokenClass| !matches!(class, TokenClass::Output | TokenClass::Reasoning);
        let parts = TokenClass::ALL.iter().zip(counts).filter(|(class, _)| of_prompt(class));
        let prompt = parts.fold(0_u64, |sum, (_, count)| sum.saturating_add(u64::try_from(count).unwrap_or(u64::MAX)));
        Self { prompt, exact: true, ..self }
    }

    /// The part of a row's key that separates tariffs: empty for the ordinary one.
    pub fn key(&self) -> Cow<'a, str> {
        let key = self.service_and_prompt_key();
        match (self.geo, self.extras.key()) {
            (None, extras) if extras.is_empty() => key,
            (Some(geo), extras) if extras.is_empty() => Cow::Owned(format!("{key}{NEXT}{geo}")),
            (geo, extras) => Cow::Owned(format!("{key}{NEXT}{}{NEXT}{extras}", geo.unwrap_or_default())),
        }
    }

    /// The part of the key that separates tiers and prompt lengths.
    fn service_and_prompt_key(&self) -> Cow<'a, str> {
        match (self.service, border(self.prompt)) {
            (None, None) => Cow::Borrowed(""),
            (Some(service), None) if service.contains('>') => Cow::Owned(format!("{service}>")),
            (Some(service), None) => Cow::Borrowed(service),
            (service, Some(border)) => Cow::Owned(format!("{}>{border}", service.unwrap_or_default())),
        }
    }

    /// Parses the part of a row's key.
    pub fn from_key(key: &'a str) -> Self {
        let mut parts = key.splitn(3, NEXT);
        let key = parts.next().unwrap_or_default();
        let geo = parts.next().filter(|geo| !geo.is_empty());
        let extras = parts.next().map_or(Extras::None, Extras::Key);
        let (service, border) = match key.rsplit_once('>') {
            Some((service, border)) => (service, border.parse::<u64>().ok()),
            None => (key, None),
        };
        let prompt = border.map_or(0, |border| border.saturating_add(1));
        Self { service: (!service.is_empty()).then_some(service), geo, extras, prompt, exact: false }
    }

    /// Whether every call of this tariff is on the same side of a price threshold.
    pub fn is_exact_for(&self, start: u64) -> bool {
        self.exact || BORDERS.contains(&start)
    }
}

/// The highest threshold that a prompt exceeds.
fn border(prompt: u64) -> Option<u64> {
    BORDERS.iter().rev().copied().find(|border| prompt > *border)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tariff_key_preserves_the_side_of_every_threshold() {
        for service in [None, Some("batch"), Some("a>b")] {
            for prompt in [0, 1, 100_000, 100_001, 199_999, 200_000, 200_001, 256_001, 272_000, 272_001, 9_999_999] {
                let tariff = Tariff { service, prompt, exact: true, ..Tariff::default() };
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
    fn regions_and_extras_round_trip_through_a_key() {
        for service in [None, Some("batch")] {
            for geo in [None, Some("us")] {
                for extras in [Extras::None, Extras::Key("input_audio=3,web_search=1")] {
                    let tariff = Tariff { service, geo, extras, prompt: 200_001, exact: false };
                    assert_eq!(Tariff::from_key(&tariff.key()), tariff, "{:?}", tariff.key());
                }
            }
        }
    }

    #[test]
    fn ordinary_tiers_have_no_key() {
        let call = |label: &str, value: &str| TokenRecord::new("anthropic", "m").input(100_000).label(label, value);
        for tier in ["standard", "Default", ""] {
            assert_eq!(Tariff::of_record(&call(SERVICE_TIER, tier)).key(), "", "{tier}");
        }
        for geo in ["global", "not_available", ""] {
            assert_eq!(Tariff::of_record(&call(INFERENCE_GEO, geo)).key(), "", "{geo}");
        }
        assert_eq!(Tariff::of_record(&call(SERVICE_TIER, "batch")).key(), "batch");
        assert_eq!(Tariff::of_record(&call(INFERENCE_GEO, "us")).key(), "\u{1f}us");
        assert_eq!(Tariff::of_record(&call("x", "y").cache_read(1)).key(), ">100000");
    }
}
