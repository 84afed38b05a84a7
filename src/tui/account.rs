//! One provider account: its windows as bars, and its decision.

mod bar;

use ratatui::text::{Line, Span};

use super::model::{ScreenState, ViewModel};
use super::text::cut;
use super::theme::Theme;
use crate::ProviderStatus;
use crate::budget::MoneyWindow;
use crate::present::bars::made_of;
use crate::present::clock::duration;
use crate::present::decision_text;
use crate::present::output::{EscapedText, grouped, used, wrapped};
use crate::present::tint::{Tint, tint};
use crate::usage::{Pool, WindowUsage};

/// Columns of labels.
const NAMES: usize = 10;
/// Priority of a line of the reason. No other line has this priority.
const REASON: u8 = 3;
/// Priority of a line of a warning. No other line has this priority.
const WARNING: u8 = 1;

/// Level of detail of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowDetail {
    Line,
    Bars,
    All,
}

/// The lines of one account.
pub(super) struct AccountBlock<'s> {
    view_model: &'s ViewModel,
    one: &'s ProviderStatus,
    number: usize,
    selected: bool,
    width: usize,
    theme: Theme,
}

impl<'s> AccountBlock<'s> {
    pub fn of(state: &'s ScreenState, number: usize, width: usize, theme: Theme) -> Option<Self> {
        let one = state.view_model.status.providers.get(number)?;
        Some(Self { view_model: &state.view_model, one, number, selected: number == state.selected, width, theme })
    }

    pub fn lines(&self, detail: RowDetail) -> Vec<Line<'static>> {
        match detail {
            RowDetail::Line => vec![self.line()],
            RowDetail::Bars => {
                let mut lines = self.bars();
                lines.insert(0, self.title());
                lines
            }
            RowDetail::All => self.all().into_iter().map(|(_, line)| line).collect(),
        }
    }

    /// Returns at most `most` lines, those with the highest priority.
    pub fn trimmed(&self, most: usize) -> Vec<Line<'static>> {
        if most < 2 {
            return vec![self.line()];
        }
        let mut lines = self.all();
        let (mut cut_off, before) = (Vec::new(), lines.len());
        for _ in most..before {
            let least = lines.iter().map(|(worth, _)| *worth).min().unwrap_or(0);
            let Some(index) = lines.iter().rposition(|(worth, _)| *worth == least) else { break };
            lines.remove(index);
            cut_off.push(least);
        }
        // Mark a sentence that was cut off.
        for sentence in [REASON, WARNING].into_iter().filter(|worth| cut_off.contains(worth)) {
            if let Some((_, line)) = lines.iter_mut().rfind(|(worth, _)| *worth == sentence) {
                line.push_span(Span::styled(" …", self.theme.dim()));
            }
        }
        lines.into_iter().map(|(_, line)| line).collect()
    }

    fn mark(&self) -> Span<'static> {
        Span::styled(if self.selected { "▶ " } else { "  " }, self.theme.good())
    }

    fn name(&self) -> Span<'static> {
        let usage = &self.one.usage;
        let account = usage.account.as_ref().map(|account| format!(" ({})", EscapedText(account))).unwrap_or_default();
        let style = self.theme.provider(self.view_model.number(&usage.provider));
        Span::styled(format!("{}{account}", usage.provider), style.add_modifier(ratatui::style::Modifier::BOLD))
    }

    fn title(&self) -> Line<'static> {
        let usage = &self.one.usage;
        let mut line = Line::from(vec![self.mark(), self.name()]);
        if self.view_model.status.active_provider.as_ref() == Some(&usage.provider) {
            line.push_span(Span::styled("  active", self.theme.good()));
        }
        if !usage.declared {
            line.push_span(Span::styled("  undeclared", self.theme.dim()));
        }
        line
    }

    /// Formats `anthropic  5h 42%  7d 61%  deep`.
    fn line(&self) -> Line<'static> {
        let mut line = Line::from(vec![self.mark(), self.name()]);
        let usage = &self.one.usage;
        if usage.metered {
            for (name, window) in [("session", &usage.session), ("weekly", &usage.weekly)] {
                if let Some(percent) = window.used() {
                    line.push_span(Span::styled(format!("  {name} {percent}%"), self.theme.tint(tint(percent))));
                }
            }
        } else {
            line.push_span(Span::styled("  no API quota", self.theme.dim()));
        }
        line.push_span(Span::raw(format!("  {}", self.one.budget.mode)));
        if usage.exhausted.is_some() {
            line.push_span(Span::styled("  exhausted", self.theme.bad()));
        }
        line
    }

    fn bars(&self) -> Vec<Line<'static>> {
        let usage = &self.one.usage;
        if !usage.metered {
            return self.unmetered();
        }
        let mut lines = vec![self.window("Session", &usage.session), self.window("Weekly", &usage.weekly)];
        lines.extend(self.refusal());
        lines.push(self.mode(false));
        lines
    }

    /// A provider without a quota has no bars, and nothing to override.
    fn unmetered(&self) -> Vec<Line<'static>> {
        let dim = self.theme.dim();
        vec![
            Line::styled("Session    no API quota", dim),
            Line::styled("Weekly     no API quota", dim),
            Line::from(vec![
                Span::raw(format!("{:<NAMES$}", "Mode")),
                Span::styled(self.one.budget.mode.name(), self.theme.good()),
                Span::styled(format!("  (budget disabled for {})", self.one.usage.provider), dim),
            ]),
        ]
    }

    /// Returns all lines with their priorities. Lines of low priority are dropped first.
    fn all(&self) -> Vec<(u8, Line<'static>)> {
        let (usage, verdict) = (&self.one.usage, &self.one.budget);
        let mut lines = vec![(9, self.title())];
        if usage.metered {
            lines.push((8, self.window("Session", &usage.session)));
            lines.push((2, self.made_of(&usage.session)));
            lines.extend(self.reading(&usage.session).map(|line| (4, line)));
            lines.push((7, self.window("Weekly", &usage.weekly)));
            lines.push((2, self.made_of(&usage.weekly)));
            lines.extend(self.reading(&usage.weekly).map(|line| (4, line)));
            lines.extend(usage.pools.iter().map(|pool| (4, self.pool(pool))));
            if usage.reserved > 0 {
                lines.push((4, self.named("Reserved", &format!("{} limit tokens", grouped(usage.reserved)))));
            }
            lines.extend(self.refusal().map(|line| (7, line)));
            lines.push((6, self.mode(true)));
            lines.extend(self.reason().map(|line| (REASON, line)));
            lines.extend(self.burn().map(|line| (5, line)));
        } else {
            lines.extend(self.unmetered().into_iter().map(|line| (8, line)));
        }
        lines.extend(self.one.money.iter().map(|money| (6, self.money(money))));
        lines.extend(self.today().map(|line| (5, line)));
        lines.push((2, self.named("All time", &used(&usage.all_time))));
        lines.extend(self.last().map(|line| (2, line)));
        lines.extend(verdict.warnings.iter().take(2).flat_map(|warning| self.warning(warning)));
        if usage.metered && self.selected && !self.view_model.past {
            lines.push((2, Line::styled("r = reset / override quota", self.theme.dim())));
        }
        lines
    }

    /// Formats the parts of a window's number, as far as they fit.
    fn made_of(&self, window: &WindowUsage) -> Line<'static> {
        let (text, room) = (made_of(window), self.width.saturating_sub(NAMES));
        let short = text.split_once("), ").filter(|_| text.len() > room).map(|(first, _)| format!("{first})"));
        Line::styled(format!("{:<NAMES$}{}", "", cut(&short.unwrap_or(text), room)), self.theme.dim())
    }

    /// Formats the last reading, if the shown percentage differs from it or a person stated it.
    fn reading(&self, window: &WindowUsage) -> Option<Line<'static>> {
        let reading = cut(&decision_text::reading(window, self.view_model.now)?, self.width.saturating_sub(NAMES));
        Some(Line::styled(format!("{:<NAMES$}{reading}", ""), self.theme.dim()))
    }

    /// What the account used since midnight.
    fn today(&self) -> Option<Line<'static>> {
        let today = self.view_model.today.get(self.number).filter(|today| today.requests > 0)?;
        Some(self.named("Today", &used(today)))
    }

    fn money(&self, money: &MoneyWindow) -> Line<'static> {
        let name = format!("$ {}", money.period.name());
        let project = money.project.as_ref().map(|project| format!(" {}", EscapedText(project))).unwrap_or_default();
        self.bar(&name, Some(money.percent), Some(money.resets_at), &project)
    }

    fn pool(&self, pool: &Pool) -> Line<'static> {
        self.bar(&decision_text::pool(pool), pool.percent, pool.resets_at, if pool.stale { " (old)" } else { "" })
    }

    fn named(&self, name: &str, text: &str) -> Line<'static> {
        Line::from(format!("{name:<NAMES$}{}", cut(text, self.width.saturating_sub(NAMES))))
    }

    fn refusal(&self) -> Option<Line<'static>> {
        let refused = self.one.usage.exhausted.as_ref()?;
        let text = decision_text::refusal(refused, self.view_model.now, self.view_model.zone);
        Some(Line::styled(format!("{:<NAMES$}{text}", "Exhausted"), self.theme.bad()))
    }

    /// Formats the mode, and when a retry may succeed.
    fn mode(&self, whole: bool) -> Line<'static> {
        let verdict = &self.one.budget;
        let style = if verdict.gated { self.theme.bad() } else { self.theme.good() };
        let mut line = Line::from(format!("{:<NAMES$}", "Mode"));
        line.push_span(Span::styled(verdict.mode.name(), style));
        if let Some(at) = verdict.resumes_at {
            line.push_span(Span::raw(format!("  retry in {}", duration(self.view_model.now, at))));
        }
        if whole {
            line.push_span(Span::styled(format!("  (budget mode {})", verdict.budget_mode.name()), self.theme.dim()));
        }
        line
    }

    fn reason(&self) -> impl Iterator<Item = Line<'static>> {
        let reason = EscapedText(&self.one.budget.reason).to_string();
        let lines = wrapped(&reason, self.width.saturating_sub(NAMES).max(16));
        let dim = self.theme.dim();
        lines.into_iter().map(move |line| Line::styled(format!("{:<NAMES$}{line}", ""), dim))
    }

    fn warning(&self, text: &str) -> Vec<(u8, Line<'static>)> {
        let room = self.width.saturating_sub(NAMES).max(16);
        let line = |(number, text): (usize, String)| {
            let name = if number == 0 { "Warning" } else { "" };
            let name = Span::styled(format!("{name:<NAMES$}"), self.theme.tint(Tint::Amber));
            (WARNING, Line::from(vec![name, Span::styled(text, self.theme.dim())]))
        };
        wrapped(&EscapedText(text).to_string(), room).into_iter().enumerate().map(line).collect()
    }

    fn burn(&self) -> Option<Line<'static>> {
        let (session, view_model) = (&self.one.usage.session, self.view_model);
        let forecast = session.forecast?;
        let mut line = Line::from(format!("{:<NAMES$}", "Burn"));
        let rate = decision_text::rate(&forecast);
        let room = self.width.saturating_sub(NAMES + rate.chars().count() + 2);
        line.push_span(Span::styled(rate, self.theme.good()));
        if let Some(outlook) = decision_text::outlook(&forecast, session.resets_at, view_model.now, view_model.zone) {
            line.push_span(Span::raw(format!("  {}", cut(&outlook, room))));
        }
        Some(line)
    }

    fn last(&self) -> impl Iterator<Item = Line<'static>> {
        let last = self.view_model.last.get(self.number).cloned().unwrap_or_default();
        let action = last.action.map(|action| self.named("Last", &EscapedText(&action).to_string()));
        let duration = last.duration_ms.map(|millis| match millis {
            1..60_000 => self.named("Duration", &format!("{} s", millis.div_ceil(1_000))),
            _ => self.named("Duration", &format!("{} min", millis / 60_000)),
        });
        action.into_iter().chain(duration)
    }
}
