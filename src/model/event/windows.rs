//! The quota windows of a provider account, and how they open without a statement of the provider.

use std::fmt;

use chrono::Weekday;
use serde::{Deserialize, Serialize};

use crate::model::time::Zone;

/// One of the two quota windows of a provider account.
///
/// ```
/// use usage_ledger::event::WindowKind;
/// assert_eq!(serde_json::to_string(&WindowKind::Weekly).unwrap(), r#""weekly""#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WindowKind {
    /// The short window, five hours unless the policy says otherwise.
    Session,
    /// The week.
    Weekly,
}

impl WindowKind {
    /// `session` or `weekly`.
    ///
    /// ```
    /// # use usage_ledger::event::WindowKind;
    /// assert_eq!(WindowKind::Session.name(), "session");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Weekly => "weekly",
        }
    }
}

/// How session windows open when the provider states nothing.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord, event::{LimitSet, SessionPolicy}};
/// let ledger = Ledger::in_memory()?;
/// let mut limits = LimitSet::new("openai")?;
/// limits.session_policy = Some(SessionPolicy::HourFloor { minutes: 300 });
/// ledger.set_limit(limits, "2026-11-23T19:00:00Z".parse::<usage_ledger::Timestamp>()?)?;
/// let at: usage_ledger::Timestamp = "2026-11-23T20:17:00Z".parse()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), at)?;
/// let opened = ledger.provider("openai", at)?.session.started_at.unwrap();
/// assert_eq!(opened.to_string(), "2026-11-23T20:00:00.000Z");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "opens", rename_all = "snake_case", deny_unknown_fields)]
pub enum SessionPolicy {
    /// At the first use; lasts through start + length.
    FirstUse {
        /// Length in minutes.
        minutes: u32,
    },
    /// At the full UTC hour of the first use.
    HourFloor {
        /// Length in minutes.
        minutes: u32,
    },
    /// At each multiple of its length since the Unix epoch.
    Epoch {
        /// Length in minutes.
        minutes: u32,
    },
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl SessionPolicy {
    /// The default policy.
    pub(crate) const DEFAULT: Self = Self::FirstUse { minutes: 300 };

    /// Length of the window in minutes.
    pub(crate) const fn minutes(self) -> u32 {
        let (Self::FirstUse { minutes } | Self::HourFloor { minutes } | Self::Epoch { minutes }) = self;
        minutes
    }

    /// Length of the window in milliseconds.
    pub(crate) const fn length(self) -> i64 {
        self.minutes() as i64 * crate::model::time::MINUTE
    }
}

/// How weekly windows open when the provider states nothing.
///
/// ```
/// use usage_ledger::{Zone, event::WeeklyPolicy};
/// let default = WeeklyPolicy::Calendar { weekday: 0, minute: 0, zone: Zone::UTC };
/// assert_eq!(WeeklyPolicy::default(), default); // Monday 00:00 UTC
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "opens", rename_all = "snake_case", deny_unknown_fields)]
pub enum WeeklyPolicy {
    /// At a weekday and time in a zone.
    Calendar {
        /// 0 is Monday, 6 is Sunday.
        weekday: u8,
        /// Minutes after local midnight.
        minute: u16,
        /// The zone.
        zone: Zone,
    },
    /// At the first use; lasts through start + 7 days.
    FirstUse,
}

impl Default for WeeklyPolicy {
    fn default() -> Self {
        Self::Calendar { weekday: 0, minute: 0, zone: Zone::UTC }
    }
}

impl fmt::Display for SessionPolicy {
    /// How session windows open, in words: `sessions of 5 h open at the first use`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opens = match self {
            Self::FirstUse { .. } => "at the first use",
            Self::HourFloor { .. } => "at the UTC hour of the first use",
            Self::Epoch { .. } => "at multiples of its length since 1970",
        };
        match (self.minutes() / 60, self.minutes() % 60) {
            (0, minutes) => write!(f, "sessions of {minutes} min open {opens}"),
            (hours, 0) => write!(f, "sessions of {hours} h open {opens}"),
            (hours, minutes) => write!(f, "sessions of {hours} h {minutes} min open {opens}"),
        }
    }
}

impl fmt::Display for WeeklyPolicy {
    /// How weekly windows open, in words: `weeks open Mon 09:00 Europe/Paris`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstUse => f.write_str("weeks open at the first use"),
            Self::Calendar { weekday, minute, zone } => {
                let day = Weekday::try_from(*weekday).map_or_else(|_| "day ?".to_owned(), |day| day.to_string());
                write!(f, "weeks open {day} {:02}:{:02} {zone}", minute / 60, minute % 60)
            }
        }
    }
}
