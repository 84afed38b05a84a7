//! Colours, or none if they are disabled.

use ratatui::style::{Color, Modifier, Style};

use crate::present::tint::Tint;

/// The colours of providers, one after the other: on a dark and on a light background.
const PROVIDERS: [(u8, u8); 6] = [(79, 29), (110, 25), (179, 130), (176, 90), (150, 64), (173, 124)];

/// The background that colours are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Palette {
    Plain,
    Dark,
    Light,
}

/// The colours of the dashboard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    palette: Palette,
}

impl Theme {
    /// No colours.
    pub const fn plain() -> Self {
        Self { palette: Palette::Plain }
    }

    /// Colours for a dark background.
    pub const fn dark() -> Self {
        Self { palette: Palette::Dark }
    }

    /// Colours for a light background.
    pub const fn light() -> Self {
        Self { palette: Palette::Light }
    }

    /// The first colour on a dark background, the second one on a light background.
    const fn fg(self, dark: u8, light: u8) -> Style {
        match self.palette {
            Palette::Plain => Style::new(),
            Palette::Dark => Style::new().fg(Color::Indexed(dark)),
            Palette::Light => Style::new().fg(Color::Indexed(light)),
        }
    }

    pub const fn tint(self, tint: Tint) -> Style {
        self.fg(tint.colour(), tint.on_light())
    }

    pub const fn good(self) -> Style {
        self.tint(Tint::Mint)
    }

    pub const fn bad(self) -> Style {
        self.tint(Tint::Red).add_modifier(Modifier::BOLD)
    }

    /// Less important text. Without colours it uses the terminal's dim attribute.
    pub const fn dim(self) -> Style {
        match self.palette {
            Palette::Plain => Style::new().add_modifier(Modifier::DIM),
            _ => self.fg(245, 240),
        }
    }

    pub const fn bold(self) -> Style {
        self.fg(255, 16).add_modifier(Modifier::BOLD)
    }

    /// A line that must be noticed.
    pub const fn banner(self) -> Style {
        self.tint(Tint::Amber).add_modifier(Modifier::REVERSED)
    }

    /// Returns the colour of a provider.
    pub fn provider(self, number: usize) -> Style {
        let (dark, light) = PROVIDERS.get(number % PROVIDERS.len()).copied().unwrap_or((79, 29));
        self.fg(dark, light)
    }
}
