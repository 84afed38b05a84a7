//! Figures of reports, for a terminal, as SVG and as PNG.

mod billed;
mod canvas;
mod figure;
mod png;
mod svg;
mod text;
mod window_use;

pub(crate) use billed::billed;
pub(crate) use figure::{Figure, FigureShape, Unit};
pub(crate) use png::png;
pub(crate) use svg::svg;
pub(crate) use text::text;
pub(crate) use window_use::{window_range, window_use};
