//! Figures as PNG, at twice the size of the SVG, on white.
//!
//! Texts use a font that is part of the build, so a figure is the same on every machine, also on one without fonts.

use embedded_graphics::Drawable;
use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_15::FONT_10X20;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::text::{Baseline, Text};

use super::canvas::{Mark, TextAnchor, WIDTH, drawn};
use super::figure::Figure;
use crate::model::error::{Error, Result};
use crate::model::invariant::bug;

/// Pixels of the file for each pixel of the canvas.
const SCALE: f64 = 2.0;
/// Width and height of a character, and the height above its baseline, in pixels of the file.
const CHARACTER: (usize, usize, usize) = (10, 20, 15);
/// The angle of labels below columns.
const TURN: f64 = -35.0;
const INK: [u8; 3] = [0x24, 0x29, 0x2f];
const RULE: [u8; 3] = [0xd0, 0xd7, 0xde];

/// Draws a figure as the bytes of a file.
///
/// # Errors
/// [`Error::Bug`] if the figure cannot be encoded, which no figure allows.
pub(crate) fn png(figure: &Figure) -> Result<Vec<u8>> {
    let canvas = drawn(figure);
    let mut image = Image::new((WIDTH * SCALE) as usize, (canvas.height() * SCALE) as usize);
    // Twice, a pixel apart, is bold.
    for shift in [0.0, 0.5] {
        image.text(16.0 + shift, 26.0, TextAnchor::Start, &figure.title);
    }
    for mark in &canvas.marks {
        image.mark(mark)?;
    }
    image.encoded()
}

/// The pixels of a text: true where there is ink.
struct Mask {
    width: usize,
    height: usize,
    ink: Vec<bool>,
}

impl OriginDimensions for Mask {
    fn size(&self) -> Size {
        Size::new(u32::try_from(self.width).unwrap_or(u32::MAX), u32::try_from(self.height).unwrap_or(u32::MAX))
    }
}

impl DrawTarget for Mask {
    type Color = BinaryColor;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(
        &mut self,
        pixels: I,
    ) -> std::result::Result<(), Self::Error> {
        for Pixel(Point { x, y }, colour) in pixels {
            if let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y))
                && x < self.width
                && let Some(pixel) = self.ink.get_mut(y * self.width + x)
            {
                *pixel = colour.is_on();
            }
        }
        Ok(())
    }
}

impl Mask {
    fn of(text: &str) -> Self {
        // The font has the characters of ISO 8859-15; it shows others as a question mark.
        let text = text.replace('…', ".").replace('·', "-");
        let (width, height) = (text.chars().count() * CHARACTER.0, CHARACTER.1);
        let mut mask = Self { width, height, ink: vec![false; width * height] };
        let style = MonoTextStyle::new(&FONT_10X20, BinaryColor::On);
        let Ok(_) = Text::with_baseline(&text, Point::zero(), style, Baseline::Top).draw(&mut mask);
        mask
    }

    fn is_ink(&self, x: usize, y: usize) -> bool {
        x < self.width && self.ink.get(y * self.width + x).copied().unwrap_or(false)
    }
}

struct Image {
    width: usize,
    height: usize,
    /// Red, green and blue of each pixel.
    pixels: Vec<u8>,
}

impl Image {
    fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![255; 3 * width * height] }
    }

    fn blend(&mut self, x: i64, y: i64, colour: [u8; 3], opacity: f64) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x >= self.width || y >= self.height {
            return;
        }
        let at = 3 * (y * self.width + x);
        for (pixel, new) in self.pixels.iter_mut().skip(at).take(3).zip(colour) {
            *pixel = (f64::from(*pixel) * (1.0 - opacity) + f64::from(new) * opacity).round() as u8;
        }
    }

    fn mark(&mut self, mark: &Mark) -> Result<()> {
        match mark {
            Mark::Text { x, y, anchor, text } => self.text(*x, *y, *anchor, text),
            Mark::Turned { x, y, text } => self.turned(*x, *y, text),
            Mark::Rectangle { x, y, width, height, fill, opacity, .. } => {
                self.rectangle((*x, *y, *width, *height), rgb(fill)?, *opacity);
            }
            Mark::Line { x, y, to_x } => self.rectangle((*x, *y, to_x - x, 0.5), RULE, 1.0),
        }
        Ok(())
    }

    /// A rectangle of at least one pixel.
    fn rectangle(&mut self, (x, y, width, height): (f64, f64, f64, f64), colour: [u8; 3], opacity: f64) {
        let range = |from: f64, length: f64| {
            let start = (from * SCALE).round() as i64;
            start..((from + length) * SCALE).round().max(start as f64 + 1.0) as i64
        };
        for row in range(y, height) {
            for column in range(x, width) {
                self.blend(column, row, colour, opacity);
            }
        }
    }

    fn text(&mut self, x: f64, y: f64, anchor: TextAnchor, text: &str) {
        let mask = Mask::of(text);
        let shift = match anchor {
            TextAnchor::Start => 0,
            TextAnchor::Middle => mask.width / 2,
            TextAnchor::End => mask.width,
        };
        let (left, top) = ((x * SCALE) as i64 - shift as i64, (y * SCALE) as i64 - CHARACTER.2 as i64);
        for row in 0..mask.height {
            for column in 0..mask.width {
                if mask.is_ink(column, row) {
                    self.blend(left + column as i64, top + row as i64, INK, 1.0);
                }
            }
        }
    }

    /// A text that ends at a place, turned.
    fn turned(&mut self, x: f64, y: f64, text: &str) {
        const PARTS: i64 = 2;
        let (mask, (sin, cos)) = (Mask::of(text), TURN.to_radians().sin_cos());
        let reach = (mask.width + mask.height) as i64;
        let (left, top) = (x * SCALE, y * SCALE);
        for row in -reach..=reach {
            for column in -reach..=reach {
                let mut ink = 0;
                // Each pixel looks at several points of the text, so that its edges are smooth.
                for part in 0..PARTS * PARTS {
                    let within = |part: i64| (part as f64 + 0.5) / PARTS as f64;
                    let (dx, dy) = (column as f64 + within(part % PARTS), row as f64 + within(part / PARTS));
                    let across = dx * cos + dy * sin + mask.width as f64;
                    let down = dy * cos - dx * sin + CHARACTER.2 as f64;
                    let is_ink = across >= 0.0 && down >= 0.0 && mask.is_ink(across as usize, down as usize);
                    ink += i64::from(is_ink);
                }
                if ink > 0 {
                    let opacity = ink as f64 / (PARTS * PARTS) as f64;
                    self.blend(left as i64 + column, top as i64 + row, INK, opacity);
                }
            }
        }
    }

    fn encoded(self) -> Result<Vec<u8>> {
        let failed = |error: png::EncodingError| bug!("a figure cannot be encoded ({error})");
        let side = |pixels: usize| u32::try_from(pixels).map_err(|_| bug!("a figure is {pixels} pixels long"));
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side(self.width)?, side(self.height)?);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(&self.pixels).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(file)
    }
}

/// The parts of a colour such as `#0072B2`.
fn rgb(colour: &str) -> Result<[u8; 3]> {
    let number = colour.strip_prefix('#').and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let [_, red, green, blue] = number.ok_or_else(|| -> Error { bug!("`{colour}` is no colour") })?.to_be_bytes();
    Ok([red, green, blue])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::chart::figure::{FigureShape, Unit};

    #[test]
    fn a_figure_is_a_file_with_its_bars_and_labels() {
        let rows = vec![("acme".to_owned(), 100), ("a name outside of the font: 模型".to_owned(), 50)];
        let figure =
            Figure { title: "tokens by project".to_owned(), unit: Unit::Tokens, shape: FigureShape::Bars { rows } };
        let file = png(&figure).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.color_type), (1_760, png::ColorType::Rgb));
        let blue = pixels.chunks(3).filter(|pixel| *pixel == [0x00, 0x72, 0xb2]).count();
        let ink = pixels.chunks(3).filter(|pixel| *pixel == INK).count();
        assert!(blue > 10_000 && ink > 1_000, "{blue} {ink}");
        assert!(file.len() < 100_000, "{}", file.len());
    }

    #[test]
    fn texts_end_at_their_place() {
        let mut image = Image::new(400, 200);
        image.turned(100.0, 50.0, "claude-opus");
        let is_right = |at: usize| at % 400 > 210;
        let ink: Vec<usize> = (0..400 * 200).filter(|at| image.pixels[3 * at] < 200).collect();
        assert!(!ink.is_empty() && !ink.iter().any(|at| is_right(*at)));
        assert!(ink.iter().any(|at| at / 400 > 130), "it goes down to the left");
    }
}
