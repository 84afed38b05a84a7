//! Colours, and none where none are wanted.

use ratatui::style::{Color, Modifier, Style};

use crate::present::tint::Tint;

/// What providers are painted with, one after the other.
const PROVIDERS: [u8; 6] = [79, 110, 179, 176, 150, 173];

/// How things look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    colour: bool,
}

impl Theme {
    pub const fn new(colour: bool) -> Self {
        Self { colour }
    }

    const fn fg(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub const fn tint(self, tint: Tint) -> Style {
        self.fg(Color::Indexed(tint.colour()))
    }

    pub const fn good(self) -> Style {
        self.tint(Tint::Mint)
    }

    pub const fn bad(self) -> Style {
        self.tint(Tint::Red).add_modifier(Modifier::BOLD)
    }

    /// What stands back; without colours by the terminal's own means.
    pub const fn dim(self) -> Style {
        if self.colour { Style::new().fg(Color::Indexed(245)) } else { Style::new().add_modifier(Modifier::DIM) }
    }

    pub const fn bold(self) -> Style {
        self.fg(Color::Indexed(255)).add_modifier(Modifier::BOLD)
    }

    /// A line that must be seen.
    pub const fn banner(self) -> Style {
        self.tint(Tint::Amber).add_modifier(Modifier::REVERSED)
    }

    /// The colour of the provider with a number.
    pub fn provider(self, number: usize) -> Style {
        let colour = PROVIDERS.get(number % PROVIDERS.len()).copied().unwrap_or(79);
        self.fg(Color::Indexed(colour))
    }
}
