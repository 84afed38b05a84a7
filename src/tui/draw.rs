//! The layout of the screen. If there is not enough room, the least important parts are left out.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

use super::model::ScreenState;
use super::text::cut;
use super::theme::Theme;
use super::{days, modal, tail, timeline, windows};
use crate::present::clock;
use crate::present::decision_text;
use crate::present::output::EscapedText;
use crate::present::visible::is_hidden;

/// Width from which the days are next to the providers.
const WIDE: u16 = 100;
/// Width of the providers on a wide screen.
const PROVIDERS: u16 = 66;
/// Minimum number of event lines; below it the panel is left out.
const FEWEST: u16 = 3;

/// Takes `height` lines from the top of an area; `None` if it has fewer.
fn take(area: &mut Rect, height: u16) -> Option<Rect> {
    if height == 0 || area.height < height {
        return None;
    }
    let top = Rect { height, ..*area };
    *area = Rect { y: area.y + height, height: area.height - height, ..*area };
    Some(top)
}

/// Draws the screen.
pub(crate) fn draw(state: &ScreenState, theme: Theme, whole: Rect, buffer: &mut Buffer) {
    let mut area = whole;
    if area.is_empty() {
        return;
    }
    if area.height >= 4
        && let Some(row) = take(&mut area, 1)
    {
        header(state, theme, row, buffer);
    }
    if let Some(pause) = &state.view_model.status.paused
        && let Some(row) = take(&mut area, 1)
    {
        let text = decision_text::pause(pause, state.view_model.now, state.view_model.zone);
        let text = cut(&format!(" {text}"), usize::from(row.width));
        Line::styled(format!("{text:<0$}", usize::from(row.width)), theme.banner()).render(row, buffer);
    }
    if area.height >= 3 || state.message.is_some() {
        let height = area.height.saturating_sub(1);
        footer(state, theme, Rect { y: area.y + height, height: 1.min(area.height), ..area }, buffer);
        area.height = height;
    }
    body(state, theme, area, buffer);
    modal::draw(state, theme, whole, buffer);
    // A last safeguard: no control character reaches the terminal.
    for cell in &mut buffer.content {
        if cell.symbol().chars().any(is_hidden) {
            cell.set_symbol("\u{fffd}");
        }
    }
}

fn body(state: &ScreenState, theme: Theme, mut area: Rect, buffer: &mut Buffer) {
    let view_model = &state.view_model;
    if view_model.status.providers.is_empty() {
        let text =
            "nothing recorded yet: `usage-ledger import` reads agents' logs, `usage-ledger record` takes one call";
        for (line, row) in crate::present::output::wrapped(text, usize::from(area.width)).into_iter().zip(area.rows()) {
            Line::raw(line).render(row, buffer);
        }
        return;
    }
    let wide = area.width >= WIDE;
    let own = if wide { PROVIDERS } else { area.width };
    let days_wanted = days::wanted(view_model, theme, if wide { area.width - own - 2 } else { area.width });
    // Accounts come first. A tall screen reserves lines for the rest, for the log before the time line.
    let promised = match area.height {
        0..16 => 0,
        16..20 => FEWEST + 1,
        20..32 => FEWEST + 1 + timeline::WANTED,
        _ => 6 + timeline::WANTED + if wide { 0 } else { days_wanted.min(9) },
    };
    let most = area.height.saturating_sub(promised).max(area.height.min(2));
    let filled = windows::filled(state, own, theme, most);
    let height = if wide { filled.max(days_wanted.min(most)) } else { filled };
    let Some(top) = take(&mut area, height) else { return };
    if wide {
        windows::draw(state, theme, Rect { width: own, ..top }, buffer);
        let right = Rect { x: top.x + own + 2, width: top.width - own - 2, ..top };
        days::draw(view_model, theme, right, buffer);
    } else {
        windows::draw(state, theme, top, buffer);
    }
    if area.height >= timeline::WANTED + FEWEST
        && let Some(part) = take(&mut area, timeline::WANTED)
    {
        timeline::draw(view_model, theme, part, buffer);
    }
    let most = days_wanted.min(area.height.saturating_sub(6));
    if !wide
        && most >= 5
        && let Some(part) = take(&mut area, most)
    {
        days::draw(view_model, theme, part, buffer);
    }
    if area.height >= FEWEST {
        tail::draw(view_model, theme, area, buffer);
    }
}

fn header(state: &ScreenState, theme: Theme, row: Rect, buffer: &mut Buffer) {
    let view_model = &state.view_model;
    let time = clock::short(view_model.now, view_model.zone);
    let past = if view_model.past { "as of " } else { "" };
    let right = format!("{past}#{} {time}", view_model.position);
    let active = view_model.status.active_provider.as_ref().map(|active| format!("  {active}")).unwrap_or_default();
    let mut left = Line::from(Span::styled("usage-ledger", theme.bold()));
    left.push_span(Span::styled(active, theme.good()));
    if view_model.obstacle.is_some() {
        left.push_span(Span::styled("  read-only", theme.bold()));
    }
    let room = usize::from(row.width).saturating_sub(left.width() + 1);
    left.render(row, buffer);
    if room >= right.len() {
        Line::styled(right, theme.dim()).right_aligned().render(row, buffer);
    }
}

fn footer(state: &ScreenState, theme: Theme, row: Rect, buffer: &mut Buffer) {
    let width = usize::from(row.width);
    if let Some(message) = &state.message {
        Line::styled(cut(&EscapedText(message).to_string(), width), theme.bold()).render(row, buffer);
        return;
    }
    if let Some(why) = &state.view_model.obstacle {
        let text = format!("q quit · ? help · ↑↓ select · read-only: {}", EscapedText(why));
        Line::styled(cut(&text, width), theme.dim()).render(row, buffer);
        return;
    }
    if let Some(why) = &state.view_model.import_failure {
        let text = format!("q quit · ? help · new calls are not imported: {}", EscapedText(why));
        Line::styled(cut(&text, width), theme.bold()).render(row, buffer);
        return;
    }
    let keys: &[&str] = if state.view_model.past {
        &["q quit", "? help", "↑↓ select"]
    } else {
        &["q quit", "? help", "r override", "p pause", "u resume", "↑↓ select", "R reset"]
    };
    let mut text = String::new();
    for key in keys {
        let longer = if text.is_empty() { (*key).to_owned() } else { format!("{text} · {key}") };
        if Span::raw(longer.as_str()).width() > width {
            break;
        }
        text = longer;
    }
    Line::styled(text, theme.dim()).render(row, buffer);
}
