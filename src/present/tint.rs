//! The colour of a percentage, on every surface with colours.

use crate::model::event::Percent;

/// Amber from this percentage.
const AMBER: Percent = Percent::from_hundredths(70 * 100);
/// Red from this percentage.
const RED: Percent = Percent::from_hundredths(90 * 100);

/// Warning level of a percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tint {
    /// Below 70 %.
    Mint,
    /// From 70 % on.
    Amber,
    /// From 90 % on.
    Red,
}

impl Tint {
    /// Returns its number in the 256-colour palette.
    pub(crate) const fn colour(self) -> u8 {
        match self {
            Self::Mint => 79,
            Self::Amber => 179,
            Self::Red => 203,
        }
    }

    /// The same on a light background.
    #[cfg_attr(not(feature = "tui"), allow(dead_code))] // only the dashboard knows the background
    pub(crate) const fn on_light(self) -> u8 {
        match self {
            Self::Mint => 29,
            Self::Amber => 130,
            Self::Red => 160,
        }
    }
}

/// Returns the tint of a percentage.
pub fn tint(percent: Percent) -> Tint {
    if percent < AMBER {
        Tint::Mint
    } else if percent < RED {
        Tint::Amber
    } else {
        Tint::Red
    }
}

/// Returns whether to use colours: not if the environment or the command line disables them.
pub(crate) fn colours(refused: bool) -> bool {
    !refused && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
