//! The price of tokens that are not text, and of a provider's own tools.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::model::event::Modality;
use crate::model::tokens::{TokenClass, Usd};

/// Tools that providers do not charge for.
///
/// Anthropic charges for the tokens that a fetch brings in, and not for the fetch
/// (<https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-fetch-tool>).
const FREE: [&str; 1] = ["web_fetch"];

/// Prices of everything but text and requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ExtraRates {
    /// Per million tokens, by modality, of the classes with modalities: input, cache reads, output.
    pub modalities: [[Option<Usd>; 3]; 3],
    /// Per thousand uses.
    pub web_searches: Option<Usd>,
    pub file_searches: Option<Usd>,
}

/// The index of a class in [`ExtraRates::modalities`].
const fn place(class: TokenClass) -> Option<usize> {
    match class {
        TokenClass::Input => Some(0),
        TokenClass::CacheRead => Some(1),
        TokenClass::Output => Some(2),
        _ => None,
    }
}

impl ExtraRates {
    /// A price of zero for everything.
    pub const fn free() -> Self {
        const FREE: Option<Usd> = Some(Usd::from_picos(0));
        Self { modalities: [[FREE; 3]; 3], web_searches: FREE, file_searches: FREE }
    }

    pub fn set(&mut self, class: TokenClass, modality: Modality, usd: Option<Usd>) {
        let slot = place(class).and_then(|place| self.modalities.get_mut(place));
        if let Some(slot) = slot.and_then(|prices| prices.get_mut(modality as usize)) {
            *slot = usd;
        }
    }

    pub fn of(&self, class: TokenClass, modality: Modality) -> Option<Usd> {
        *self.modalities.get(place(class)?)?.get(modality as usize)?
    }

    /// The price of a thousand uses of a tool.
    pub fn of_tool(&self, name: &str) -> Option<Usd> {
        match name {
            "web_search" => self.web_searches,
            "file_search" => self.file_searches,
            name if FREE.contains(&name) => Some(Usd::default()),
            _ => None,
        }
    }
}

/// The counts of a call besides its token classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Extras<'a> {
    #[default]
    None,
    /// In the form of a row's key: `input_audio=900,web_search=2`.
    Key(&'a str),
    /// In the form of a record.
    Record { modalities: &'a BTreeMap<String, u64>, server_tools: &'a BTreeMap<String, u64> },
}

impl<'a> Extras<'a> {
    /// The extras of a record.
    pub fn of(modalities: &'a BTreeMap<String, u64>, server_tools: &'a BTreeMap<String, u64>) -> Self {
        if modalities.values().chain(server_tools.values()).all(|count| *count == 0) {
            return Self::None;
        }
        Self::Record { modalities, server_tools }
    }

    /// Visits each count. An unreadable name counts 1, so that its price is unknown.
    pub fn each(&self, mut visit: impl FnMut(&str, u64)) {
        match self {
            Self::None => {}
            Self::Key(key) => {
                for part in key.split(',') {
                    let (name, count) = part.split_once('=').unwrap_or((part, ""));
                    visit(name, count.parse().unwrap_or(1));
                }
            }
            Self::Record { modalities, server_tools } => {
                for (name, count) in modalities.iter().chain(*server_tools).filter(|(_, count)| **count > 0) {
                    visit(name, *count);
                }
            }
        }
    }

    /// The part of a row's key.
    pub fn key(&self) -> Cow<'a, str> {
        match self {
            Self::None => Cow::Borrowed(""),
            Self::Key(key) => Cow::Borrowed(key),
            Self::Record { .. } => {
                let mut parts = Vec::new();
                self.each(|name, count| parts.push(format!("{name}={count}")));
                Cow::Owned(parts.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rates::Rates;
    use super::*;

    #[test]
    fn extras_of_a_record_round_trip_through_a_key() {
        let map = |pairs: &[(&str, u64)]| pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let (modalities, tools): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (map(&[("input_audio", 9), ("output_audio", 0)]), map(&[("web_search", 2)]));
        let record = Extras::of(&modalities, &tools);
        assert_eq!(record.key(), "input_audio=9,web_search=2");
        let seen = |extras: Extras<'_>| {
            let mut seen = Vec::new();
            extras.each(|name, count| seen.push((name.to_owned(), count)));
            seen
        };
        assert_eq!(seen(record), seen(Extras::Key(&record.key())));
        assert_eq!(Extras::of(&map(&[("input_audio", 0)]), &map(&[])), Extras::None);
        assert_eq!(seen(Extras::Key("x")), [("x".to_owned(), 1)]);
    }

    #[test]
    fn more_of_a_modality_than_of_its_class_has_no_price() {
        let mut rates = Rates::default();
        rates.set(TokenClass::Input, Some("1".parse().unwrap()));
        rates.extras.set(TokenClass::Input, Modality::Audio, Some("10".parse().unwrap()));
        let charge = |input: u128, key: &str| {
            let counts = [input, 0, 0, 0, 0, 0, 0];
            rates.charge(counts, 2, &Extras::Key(key)).map(|charge| charge.usd().to_string())
        };
        assert_eq!(charge(1_000_000, "input_audio=250000").as_deref(), Some("5.5"));
        assert_eq!(charge(499_999, "input_audio=250000"), None);
        assert_eq!(charge(1_000_000, "input_image=1"), None);
        assert_eq!(charge(1_000_000, "unheard_of=1"), None);
        assert_eq!(charge(1_000_000, "web_fetch=3").as_deref(), Some("1"));
    }
}
