//! Figures as SVG, in light and dark.

use std::fmt::Write as _;

use super::canvas::{Mark, TextAnchor, WIDTH, drawn};
use super::figure::Figure;

/// Draws a figure as a file of its own.
pub(crate) fn svg(figure: &Figure) -> String {
    let canvas = drawn(figure);
    let mut body = String::new();
    for mark in &canvas.marks {
        // Writing to a string does not fail.
        let _ = element(&mut body, mark);
    }
    let (height, title) = (canvas.height(), escaped(&figure.title));
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0} {height:.0}" width="{WIDTH:.0}" height="{height:.0}" role="img" aria-label="{title}">
<style>
svg {{ background: #ffffff; font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }}
text {{ fill: #24292f; }} line {{ stroke: #d0d7de; stroke-width: 1; }} .title {{ font-size: 15px; font-weight: 600; }}
@media (prefers-color-scheme: dark) {{ svg {{ background: #0d1117; }} text {{ fill: #e6edf3; }} line {{ stroke: #30363d; }} }}
</style>
<text class="title" x="16" y="26">{title}</text>
{body}</svg>
"#
    )
}

fn element(out: &mut String, mark: &Mark) -> std::fmt::Result {
    match mark {
        Mark::Text { x, y, anchor, text } => {
            let anchor = match anchor {
                TextAnchor::Start => "start",
                TextAnchor::Middle => "middle",
                TextAnchor::End => "end",
            };
            let text = escaped(text);
            writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#)
        }
        Mark::Turned { x, y, text } => {
            let text = escaped(text);
            writeln!(out, r#"<text transform="translate({x:.1} {y:.1}) rotate(-35)" text-anchor="end">{text}</text>"#)
        }
        Mark::Rectangle { x, y, width, height, fill, opacity, title } => {
            let title = escaped(title);
            writeln!(
                out,
                r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}" fill-opacity="{opacity:.2}"><title>{title}</title></rect>"#
            )
        }
        Mark::Line { x, y, to_x } => writeln!(out, r#"<line x1="{x:.1}" y1="{y:.1}" x2="{to_x:.1}" y2="{y:.1}"/>"#),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::chart::figure::{FigureShape, Unit};

    #[test]
    fn names_cannot_break_the_file() {
        let shape = FigureShape::Bars { rows: vec![("<script>\"&".to_owned(), 3)] };
        let drawn = svg(&Figure { title: "tokens by project".to_owned(), unit: Unit::Tokens, shape });
        assert!(drawn.contains("&lt;script&gt;&quot;&amp;") && !drawn.contains("<script"), "{drawn}");
    }
}
