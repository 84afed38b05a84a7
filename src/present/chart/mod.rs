//! Figures of reports, for a terminal and as SVG.

mod figure;
mod svg;
mod text;
mod window_use;

pub(crate) use figure::Figure;
pub(crate) use svg::svg;
pub(crate) use text::text;
pub(crate) use window_use::window_use;
