//! Colours, or none if they are disabled.

use ratatui::style::{Color, Modifier, Style};

use crate::present::tint::Tint;

/// Colours of providers, by index.
const PROVIDERS: [u8; 6] = [79, 110, 179, 176, 150, 173];

/// The styles of the dashboard.
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

    /// Less important text. Without colours it uses the terminal's dim attribute.
    pub const fn dim(self) -> Style {
        if self.colour { Style::new().fg(Color::Indexed(245)) } else { Style::new().add_modifier(Modifier::DIM) }
    }

    pub const fn bold(self) -> Style {
        self.fg(Color::Indexed(255)).add_modifier(Modifier::BOLD)
    }

    /// A line that must be noticed.
    pub const fn banner(self) -> Style {
        self.tint(Tint::Amber).add_modifier(Modifier::REVERSED)
    }

    /// Returns the colour of a provider.
    pub fn provider(self, number: usize) -> Style {
        let colour = PROVIDERS.get(number % PROVIDERS.len()).copied().unwrap_or(79);
        self.fg(Color::Indexed(colour))
    }
}
