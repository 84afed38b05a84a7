//! Prices per million tokens, by class.

use super::extras::{ExtraRates, Extras};
use crate::model::event::modality_of;
use crate::model::tokens::{TokenClass, Usd};

/// The number of tokens that a price is for.
pub(super) const MILLION: i128 = 1_000_000;

/// The price of a million tokens of each class in US dollars, and of each request.
///
/// ```
/// use usage_ledger::{TokenClass, price::Prices};
/// let at = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let rates = Prices::list().quote("anthropic", "claude-opus-4-5", at, None, 0).unwrap().rates;
/// assert_eq!(rates.of(TokenClass::Input), Some("5".parse()?));
/// assert_eq!(rates.of(TokenClass::CacheWrite1h), Some("10".parse()?));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// By class, in the order of [`TokenClass::ALL`]; `None` is unknown.
    pub(super) classes: [Option<Usd>; 7],
    /// Per thousand requests.
    pub(super) thousand_requests: Usd,
    /// Prices of everything but text and requests.
    pub(super) extras: ExtraRates,
}

impl Rates {
    /// The price of a million tokens of a class; `None` if unknown.
    ///
    /// ```
    /// use usage_ledger::{TokenClass, price::Prices};
    /// let at = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let rates = Prices::list().quote("openai", "gpt-5", at, None, 0).unwrap().rates;
    /// assert_eq!(rates.of(TokenClass::Reasoning), rates.of(TokenClass::Output)); // it has no price of its own
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn of(&self, class: TokenClass) -> Option<Usd> {
        TokenClass::ALL.iter().zip(self.classes).find(|(c, _)| **c == class).and_then(|(_, usd)| usd)
    }

    /// The price of a thousand requests.
    pub(crate) const fn requests(&self) -> Usd {
        self.thousand_requests
    }

    pub(super) fn set(&mut self, class: TokenClass, usd: Option<Usd>) {
        for (known, slot) in TokenClass::ALL.iter().zip(&mut self.classes) {
            if *known == class {
                *slot = usd;
            }
        }
    }

    /// The price of a million tokens of a modality, such as `input_audio`, or of a thousand uses of a provider's tool,
    /// such as `web_search`; `None` if unknown.
    pub(crate) fn of_extra(&self, name: &str) -> Option<Usd> {
        match modality_of(name) {
            Some((class, modality)) => self.extras.of(class, modality),
            None => self.extras.of_tool(name),
        }
    }

    /// The same prices with each token price scaled to a percentage. `None` if one has too many digits.
    pub(super) fn percent(mut self, percent: i128) -> Option<Self> {
        for price in self.classes.iter_mut().chain(self.extras.modalities.iter_mut().flatten()).flatten() {
            *price = Usd::from_picos(price.picos().checked_mul(percent)? / 100);
        }
        Some(self)
    }

    /// The cost of tokens and requests, with the extras of each request. `None` if a price is missing, and if the cost
    /// exceeds 10^20 dollars: implausible counts or prices make a cost unknown, but never fail a report.
    pub(crate) fn charge(&self, counts: [u128; 7], requests: i64, extras: &Extras<'_>) -> Option<Charge> {
        let mut charge = self.thousand_requests.picos().checked_mul(i128::from(requests) * 1_000)?;
        if *extras != Extras::None {
            charge = charge.checked_add(self.extra_charge(&counts, requests, extras)?)?;
        }
        for (usd, count) in self.classes.iter().zip(counts).filter(|(_, count)| *count > 0) {
            let usd = (*usd)?;
            let part = usd.picos().checked_mul(i128::try_from(count).ok()?)?;
            charge = charge.checked_add(part)?;
        }
        Some(Charge(charge))
    }
}

/// An amount in 10^-18 dollars, so that only the final sum is rounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge(i128);

impl Charge {
    /// The sum of two amounts; `None` above 10^20 dollars.
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The negative amount.
    pub const fn negated(self) -> Self {
        Self(-self.0)
    }

    /// The amount, rounded to 10^-12 dollars, half to even.
    pub fn usd(self) -> Usd {
        let (whole, rest) = (self.0.div_euclid(MILLION), self.0.rem_euclid(MILLION));
        let up = rest * 2 > MILLION || (rest * 2 == MILLION && whole % 2 != 0);
        Usd::from_picos(whole + i128::from(up))
    }
}

impl Rates {
    /// What the extras of each of `requests` calls add to the price of `counts` as text, in 10^-18 dollars. `None` if a
    /// price is unknown, or if a modality has more tokens than its class.
    fn extra_charge(&self, counts: &[u128; 7], requests: i64, extras: &Extras<'_>) -> Option<i128> {
        let mut sum = Some(0_i128);
        let mut left: [Option<u128>; 7] = counts.map(Some);
        extras.each(|name, count| {
            let uses = i128::from(count).checked_mul(i128::from(requests));
            let part = match modality_of(name) {
                Some((class, modality)) => {
                    let tokens = uses.and_then(|uses| u128::try_from(uses).ok());
                    for (known, left) in TokenClass::ALL.into_iter().zip(&mut left) {
                        if known == class {
                            *left = left.zip(tokens).and_then(|(left, tokens)| left.checked_sub(tokens));
                        }
                    }
                    let text = self.of(class).map(Usd::picos);
                    let own = self.extras.of(class, modality).map(Usd::picos);
                    own.zip(text).and_then(|(own, text)| own.checked_sub(text)).zip(uses)
                }
                // Prices are per thousand uses, and amounts in millionths.
                None => self.extras.of_tool(name).and_then(|usd| usd.picos().checked_mul(MILLION / 1_000)).zip(uses),
            };
            let part = part.and_then(|(price, uses)| price.checked_mul(uses));
            sum = sum.zip(part).and_then(|(sum, part)| sum.checked_add(part));
        });
        sum.filter(|_| left.iter().all(Option::is_some))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_below_a_pico_dollar_are_rounded_once() {
        let mut charge = Charge::default();
        for _ in 0..3 {
            charge = charge.plus(Charge(500_000)).unwrap();
        }
        assert_eq!(charge.usd(), Usd::from_picos(2));
        assert_eq!(Charge(500_000).usd(), Usd::default());
    }

    #[test]
    fn a_class_without_a_price_makes_the_whole_unknown() {
        let mut rates = Rates::default();
        rates.set(TokenClass::Input, Some("3".parse().unwrap()));
        assert_eq!(rates.charge([1_000_000, 0, 0, 0, 0, 0, 0], 1, &Extras::None).unwrap().usd().to_string(), "3");
        assert_eq!(rates.charge([1, 1, 1, 1, 1, 1, 1], 1, &Extras::None), None);
        assert_eq!(rates.charge([u128::MAX, 0, 0, 0, 0, 0, 0], 1, &Extras::None), None);
    }
}
