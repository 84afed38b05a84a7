//! Rules that split shared spend.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::event_data::EventData;
use super::shredded::SHREDDED;
use super::{NameKind, Subject};
use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;

/// A share of a pool in percent, with up to six decimals. It is exact: a whole number of millionths of a percent.
///
/// ```
/// use usage_ledger::event::Share;
/// let share: Share = "33.5".parse()?;
/// assert_eq!(share.to_string(), "33.5");
/// assert!("100.1".parse::<Share>().is_err() && "0.0000001".parse::<Share>().is_err());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// A whole pool: 100 %.
    pub(crate) const WHOLE: Self = Self(100_000_000);

    /// The share in millionths of a percent.
    pub(crate) const fn millionths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{rest:06}").trim_end_matches('0'))
    }
}

impl FromStr for Share {
    type Err = Error;

    /// Parses a percentage from 0 to 100 with up to six decimals.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid(format!("`{text}` is no share: write a percentage up to 100, such as 33.5"));
        let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(rest) || rest.len() > 6 || whole.len() > 3 {
            return Err(bad());
        }
        let millionths: u32 = format!("{whole}{rest:0<6}").parse().map_err(|_| bad())?;
        if millionths <= Self::WHOLE.0 { Ok(Self(millionths)) } else { Err(bad()) }
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A condition of a rule: the calls with this value of a key.
///
/// ```
/// use usage_ledger::event::AllocationCondition;
/// let shared = AllocationCondition::new("project", Some("platform"));
/// assert_eq!((shared.key.as_str(), shared.value.as_deref()), ("project", Some("platform")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AllocationCondition {
    /// The key, as `report --by` names it.
    pub key: String,
    /// The value; `None` for the calls without a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl AllocationCondition {
    /// A condition on a key.
    ///
    /// ```
    /// # use usage_ledger::event::AllocationCondition;
    /// assert_eq!(AllocationCondition::new("project", None).value, None); // the calls of no project
    /// ```
    pub fn new(key: impl Into<String>, value: Option<&str>) -> Self {
        Self { key: key.into(), value: value.map(str::to_owned) }
    }
}

/// A receiver with a fixed share.
///
/// ```
/// use usage_ledger::event::AllocationShare;
/// let share = AllocationShare::new("acme", "30".parse()?);
/// assert_eq!(share.name, "acme");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AllocationShare {
    /// The receiver.
    pub name: String,
    /// Its share of the pool in percent.
    pub percent: Share,
}

impl AllocationShare {
    /// A fixed share of a receiver.
    ///
    /// ```
    /// # use usage_ledger::event::AllocationShare;
    /// assert_eq!(AllocationShare::new("acme", "100".parse()?).percent.to_string(), "100");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn new(name: impl Into<String>, percent: Share) -> Self {
        Self { name: name.into(), percent }
    }
}

/// What usage is measured in.
///
/// ```
/// use usage_ledger::event::AllocationMeasure;
/// assert_eq!(serde_json::to_string(&AllocationMeasure::Cost).unwrap(), r#""cost""#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AllocationMeasure {
    /// The computed cost of the calls.
    Cost,
    /// Their tokens of all classes.
    Tokens,
    /// Their number.
    Requests,
}

/// Who receives what the fixed shares leave.
///
/// ```
/// use usage_ledger::event::{AllocationMeasure, AllocationRest};
/// let rest = AllocationRest::Usage { measure: AllocationMeasure::Cost, names: Vec::new() };
/// assert_eq!(serde_json::to_string(&rest).unwrap(), r#"{"how":"usage","measure":"cost"}"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum AllocationRest {
    /// Receivers in proportion to their own usage in the period.
    Usage {
        /// What usage is measured in.
        measure: AllocationMeasure,
        /// The receivers; empty for all that have usage of their own.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
    },
    /// Receivers in equal parts.
    Equal {
        /// The receivers.
        names: Vec<String>,
    },
    /// One receiver.
    To {
        /// The receiver.
        name: String,
    },
}

/// A rule that splits shared spend. A later rule of the same name replaces it.
///
/// ```
/// use usage_ledger::{Ledger, event::{AllocationCondition, AllocationSet, AllocationShare}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let mut rule = AllocationSet::new("platform", "project");
/// rule.of.push(AllocationCondition::new("project", Some("platform")));
/// rule.shares.push(AllocationShare::new("acme", "100".parse()?));
/// ledger.set_allocation(rule, now)?;
/// assert_eq!(ledger.event(1)?.payload.kind(), "allocation_set");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AllocationSet {
    /// The name of the rule.
    pub name: String,
    /// The key whose values are the receivers, as `report --by` names it.
    pub by: String,
    /// Which spend is shared: all conditions must hold; conditions on one key are alternatives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub of: Vec<AllocationCondition>,
    /// Fixed shares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<AllocationShare>,
    /// Who receives the rest. Without it, the fixed shares must be 100 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<AllocationRest>,
    /// Whether the rule of this name ends here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

impl AllocationSet {
    /// A rule without conditions and shares.
    ///
    /// ```
    /// # use usage_ledger::event::AllocationSet;
    /// assert!(AllocationSet::new("platform", "project").shares.is_empty());
    /// ```
    pub fn new(name: impl Into<String>, by: impl Into<String>) -> Self {
        Self { name: name.into(), by: by.into(), of: Vec::new(), shares: Vec::new(), rest: None, ended: false }
    }

    /// The end of the rule of this name.
    ///
    /// ```
    /// # use usage_ledger::event::AllocationSet;
    /// assert!(AllocationSet::end("platform", "project").ended);
    /// ```
    pub fn end(name: impl Into<String>, by: impl Into<String>) -> Self {
        Self { ended: true, ..Self::new(name, by) }
    }

    /// The receivers that the rule names.
    pub(crate) fn receivers(&self) -> Vec<&str> {
        let rest: &[String] = match &self.rest {
            Some(AllocationRest::Usage { names, .. } | AllocationRest::Equal { names }) => names,
            Some(AllocationRest::To { name }) => std::slice::from_ref(name),
            None => &[],
        };
        let fixed = self.shares.iter().map(|share| share.name.as_str());
        fixed.chain(rest.iter().map(String::as_str)).collect()
    }

    /// Describes the rule: `platform: of project=platform, by project: acme 30 %, rest by cost`.
    pub(crate) fn describe(&self) -> String {
        if self.ended {
            return format!("{}: ended", self.name);
        }
        let condition = |condition: &AllocationCondition| {
            format!("{}={}", condition.key, condition.value.as_deref().unwrap_or_default())
        };
        let of: Vec<String> = self.of.iter().map(condition).collect();
        let of = if of.is_empty() { "every call".to_owned() } else { of.join(" ") };
        let share = |share: &AllocationShare| format!("{} {} %", share.name, share.percent);
        let mut parts: Vec<String> = self.shares.iter().map(share).collect();
        parts.extend(self.rest.as_ref().map(AllocationRest::describe));
        format!("{}: of {of}, by {}: {}", self.name, self.by, parts.join(", "))
    }
}

impl AllocationRest {
    fn describe(&self) -> String {
        match self {
            Self::To { name } => format!("rest to {name}"),
            Self::Equal { names } => format!("rest in equal parts to {}", names.join(", ")),
            Self::Usage { measure, names } => {
                let measure = match measure {
                    AllocationMeasure::Cost => "cost",
                    AllocationMeasure::Tokens => "tokens",
                    AllocationMeasure::Requests => "requests",
                };
                let names = if names.is_empty() { String::new() } else { format!(" of {}", names.join(", ")) };
                format!("rest by {measure}{names}")
            }
        }
    }
}

impl EventData for AllocationSet {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    /// A rule is about no provider. Its receivers are no names that a block is searched for.
    fn names(&self, _: &mut dyn FnMut(NameKind, &str)) {}

    /// Without its names the rule splits nothing, so it ends.
    fn redacted(&self) -> Result<Self, &'static str> {
        Ok(Self::end(SHREDDED, self.by.clone()))
    }

    fn summary(&self) -> String {
        self.describe()
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}

    fn validate(&self) -> Result<()> {
        if self.name.is_empty() || self.by.is_empty() || self.receivers().contains(&"") {
            return Err(Error::invalid("an allocation rule, its key and its receivers have names that are not empty"));
        }
        if self.ended {
            return Ok(());
        }
        let repeated = |names: &[&str]| names.iter().collect::<std::collections::BTreeSet<_>>().len() < names.len();
        let fixed: Vec<&str> = self.shares.iter().map(|share| share.name.as_str()).collect();
        let of_rest = self.receivers().split_off(fixed.len());
        if repeated(&fixed) || repeated(&of_rest) {
            return Err(Error::invalid(format!("the rule {} names a receiver twice: sum its shares", self.name)));
        }
        let sum: u64 = self.shares.iter().map(|share| u64::from(share.percent.millionths())).sum();
        let whole = u64::from(Share::WHOLE.millionths());
        match &self.rest {
            _ if sum > whole => {
                Err(Error::invalid(format!("the shares of the rule {} are more than 100 %: lower them", self.name)))
            }
            None if sum < whole => Err(Error::invalid(format!(
                "the shares of the rule {} are less than 100 %: state who receives the rest",
                self.name
            ))),
            Some(_) if sum == whole => Err(Error::invalid(format!(
                "the shares of the rule {} are 100 %: there is no rest to receive",
                self.name
            ))),
            Some(AllocationRest::Equal { names }) if names.is_empty() => {
                Err(Error::invalid("equal parts need the names of their receivers"))
            }
            _ => Ok(()),
        }
    }
}
