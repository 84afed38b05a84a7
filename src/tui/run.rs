//! The event loop: draw, wait for a key or a change, repeat.

use std::io;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, DisableMouseCapture, EnableMouseCapture, Event, KeyEventKind};
use ratatui::crossterm::execute;

use super::draw::draw;
use super::model::{Action, ScreenState, ViewModel};
use super::theme::Theme;

/// Interval of checks for appended events.
const TICK: Duration = Duration::from_millis(250);

/// Reads and writes the ledger for the dashboard. Errors are texts for the screen.
pub(crate) trait Backend {
    /// Reads the current data.
    fn read(&mut self) -> Result<ViewModel, String>;
    /// Returns whether events were appended since these data were read.
    fn is_news(&mut self, view_model: &ViewModel) -> Result<bool, String>;
    /// Runs an action and returns its result as text.
    fn act(&mut self, action: Action) -> Result<String, String>;
}

/// Shows the dashboard until the user quits. `interval` is the time between refreshes without changes.
///
/// Restores the terminal, also after a panic.
pub(crate) fn run(
    backend: &mut dyn Backend,
    view_model: ViewModel,
    theme: Theme,
    interval: Duration,
) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    // A terminal without a mouse ignores this.
    execute!(io::stdout(), EnableMouseCapture)?;
    let mut state = ScreenState::new(view_model);
    let done = watch(backend, &mut state, interval, &mut |state| {
        let drawn = terminal.draw(|frame| draw(state, theme, frame.area(), frame.buffer_mut()));
        drawn.map(|_| ())
    });
    let mouse = execute!(io::stdout(), DisableMouseCapture);
    let restored = ratatui::try_restore().and(mouse);
    done?;
    restored
}

fn watch(
    backend: &mut dyn Backend,
    state: &mut ScreenState,
    interval: Duration,
    show: &mut dyn FnMut(&ScreenState) -> io::Result<()>,
) -> io::Result<()> {
    let mut looked = Instant::now();
    loop {
        show(state)?;
        let mut action = None;
        if event::poll(TICK.min(interval))? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => action = state.key(key),
                Event::Mouse(mouse) => state.mouse(mouse),
                _ => {}
            }
        }
        let acted = action.is_some();
        match action {
            Some(Action::Quit) => return Ok(()),
            Some(action) => state.message = Some(backend.act(action).unwrap_or_else(|error| error)),
            None => {}
        }
        // The past does not change.
        let live = !state.view_model.past;
        if acted || live && (looked.elapsed() >= interval || backend.is_news(&state.view_model) != Ok(false)) {
            looked = Instant::now();
            match backend.read() {
                Ok(view_model) => state.show(view_model),
                // Keep the last data, and show why they are not updated.
                Err(error) => state.message = Some(error),
            }
        }
    }
}
