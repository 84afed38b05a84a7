//! Compares screens with `tests/fixtures/tui/*.txt`. `UPDATE_SCREENS=1` rewrites the files.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;

use super::as_text::{lines_of, panel};
use super::draw::draw;
use super::model::{Action, Modal, ScreenState, ViewModel};
use super::theme::Theme;
use crate::model::event::{LimitSet, NewEvent, Paused, QuotaExhausted, QuotaObserved, WindowKind};
use crate::model::time::{DAY, HOUR, MINUTE};
use crate::{AsOf, Ledger, ProviderId, Timestamp, TokenRecord, Zone};

const NOW: Timestamp = Timestamp::from_millis(1_781_092_800_000); // 2026-06-10T12:00:00Z

fn call(provider: &str, model: &str, tokens: u64) -> TokenRecord {
    TokenRecord::new(provider, model).input(tokens)
}

/// Two providers with quotas and one without, with switches between them.
fn busy() -> Ledger {
    let ledger = Ledger::in_memory().unwrap();
    let limits = |name: &str, session| LimitSet::new(name).unwrap().session(session).weekly(10 * session);
    ledger.set_limit(limits("anthropic", 2_000_000), NOW.plus(-9 * DAY)).unwrap();
    ledger.set_limit(limits("openai", 1_000_000), NOW.plus(-9 * DAY)).unwrap();
    let record = |record: TokenRecord, ago: i64| {
        ledger.append([NewEvent::new(record, NOW.plus(-ago))], NOW.plus(-ago)).unwrap();
    };
    record(call("anthropic", "claude-opus-4-5", 910_000), 5 * DAY);
    record(call("ollama", "qwen3", 250_000), 3 * DAY);
    record(call("openai", "gpt-5", 640_000), 2 * DAY);
    for minutes in [90, 70, 50, 30, 10] {
        record(call("anthropic", "claude-opus-4-5", 81_000).output(4_000), minutes * MINUTE);
    }
    let mut last = call("anthropic", "claude-opus-4-5", 12_000).label("last_action", "Ed\u{1b}[31mit");
    last.duration_ms = Some(95_000);
    record(last, MINUTE);
    record(call("openai", "gpt-5", 820_000), HOUR);
    for (to, why, ago) in [("ollama", "rate limited", 4 * DAY), ("openai", "", 2 * DAY), ("anthropic", "back", DAY)] {
        ledger.switch_provider_at(to, why, NOW.plus(-ago), NOW).unwrap();
    }
    let window = |minutes, scope: Option<&str>, percent: &str, reset| QuotaObserved {
        provider: ProviderId::new("anthropic").unwrap(),
        account: None,
        window_minutes: minutes,
        scope: scope.map(str::to_owned),
        used_percent: Some(percent.parse().unwrap()),
        resets_at: Some(NOW.plus(reset)),
        status: None,
        feed: "claude-statusline".to_owned(),
    };
    let seen = [
        window(300, None, "42", 2 * HOUR),
        window(10_080, None, "61.5", 2 * DAY),
        window(10_080, Some("opus"), "77", 2 * DAY),
    ];
    for one in seen {
        ledger.append([NewEvent::new(one, NOW.plus(-5 * MINUTE))], NOW).unwrap();
    }
    ledger
}

fn state(ledger: &Ledger) -> ScreenState {
    ScreenState::new(ViewModel::read(&ledger.snapshot().unwrap(), NOW, Zone::UTC, 7).unwrap())
}

fn buffer(state: &ScreenState, theme: Theme, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, theme, frame.area(), frame.buffer_mut())).unwrap();
    terminal.backend().buffer().clone()
}

/// Compares a screen with the stored one of this name.
fn same(name: &str, state: &ScreenState, (width, height): (u16, u16)) {
    let shown = lines_of(&buffer(state, Theme::dark(), width, height));
    let path = format!("{}/tests/fixtures/tui/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        std::fs::write(&path, &shown).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(shown, kept, "\n{name} is not as it was; UPDATE_SCREENS=1 writes it anew:\n{shown}");
}

fn press(state: &mut ScreenState, keys: &str) -> Option<Action> {
    let mut action = None;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{8}' => KeyCode::Backspace,
            '\u{1b}' => KeyCode::Esc,
            _ => KeyCode::Char(key),
        };
        action = state.key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    action
}

#[test]
fn the_screen_at_several_sizes() {
    let ledger = busy();
    let shown = state(&ledger);
    same("wide", &shown, (120, 40));
    same("usual", &shown, (80, 24));
    same("narrow", &shown, (40, 12));
    same("tiny", &shown, (10, 3));
}

#[test]
fn hostile_names_reach_no_cell_of_the_screen() {
    const HOSTILE: &str = "a\u{1b}[31m\u{202e}b\u{9b}2Jc\u{200b}\u{7f}\u{2028}\u{feff}\u{e0041}\u{2066}d";
    let ledger = busy();
    let mut record = call("anthropic", HOSTILE, 10).project(HOSTILE).agent(HOSTILE).label("last_action", HOSTILE);
    record.account = Some(HOSTILE.to_owned());
    record.conversation = Some(HOSTILE.to_owned());
    ledger.record(record, NOW).unwrap();
    ledger.switch_provider("openai", HOSTILE, NOW).unwrap();
    let pause = Paused { reason: HOSTILE.to_owned(), until: None, note: Some(HOSTILE.to_owned()) };
    ledger.pause(pause, NOW).unwrap();
    let refused = QuotaExhausted {
        provider: ProviderId::new("openai").unwrap(),
        account: None,
        model: Some(HOSTILE.to_owned()),
        resets_at: None,
        rule: "http-429".to_owned(),
        excerpt: HOSTILE.to_owned(),
    };
    let scoped = QuotaObserved {
        provider: ProviderId::new("anthropic").unwrap(),
        account: Some(HOSTILE.to_owned()),
        window_minutes: 10_080,
        scope: Some(HOSTILE.to_owned()),
        used_percent: Some("7".parse().unwrap()),
        resets_at: None,
        status: Some(HOSTILE.to_owned()),
        feed: "claude-statusline".to_owned(),
    };
    ledger.append([NewEvent::new(refused, NOW), NewEvent::new(scoped, NOW)], NOW).unwrap();
    let mut shown = state(&ledger);
    for key in ["", "j", "j", "j", "j", "?", "\u{1b}", "u"] {
        press(&mut shown, key);
        for (width, height) in [(120, 60), (80, 24), (40, 12)] {
            let screen = buffer(&shown, Theme::dark(), width, height);
            for symbol in screen.content().iter().map(ratatui::buffer::Cell::symbol) {
                let hidden = symbol.chars().find(|char| {
                    char.is_control()
                        || matches!(*char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
                            | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
                });
                assert_eq!(hidden, None, "{symbol:?} after {key:?} in\n{}", lines_of(&screen));
            }
        }
    }
    let screen = lines_of(&buffer(&state(&ledger), Theme::dark(), 160, 80));
    assert!(screen.contains("2Jc"), "the texts are shown:\n{screen}");
}

#[test]
fn another_account_selected() {
    let mut shown = state(&busy());
    assert_eq!(press(&mut shown, "jj"), None);
    same("openai", &shown, (80, 24));
    press(&mut shown, "k");
    same("ollama", &shown, (80, 24));
}

#[test]
fn a_pause_and_a_refusal_are_highlighted() {
    let ledger = busy();
    let refused = QuotaExhausted {
        provider: ProviderId::new("openai").unwrap(),
        account: None,
        model: None,
        resets_at: Some(NOW.plus(3 * HOUR)),
        rule: "http-429".to_owned(),
        excerpt: "usage limit reached".to_owned(),
    };
    ledger.append([NewEvent::new(refused, NOW)], NOW).unwrap();
    let pause = Paused { reason: "timed".to_owned(), until: Some(NOW.plus(HOUR)), note: Some("lunch".to_owned()) };
    ledger.reserve("anthropic", 20_000, 10 * MINUTE, NOW).unwrap();
    ledger.pause(pause, NOW).unwrap();
    same("paused", &state(&ledger), (100, 34));
}

#[test]
fn both_numbers_stay_visible() {
    let ledger = busy();
    let used = "32".parse().unwrap();
    let at = NOW.plus(-2 * MINUTE);
    ledger.override_usage("anthropic", WindowKind::Session, used, "me\u{7}", "", at).unwrap();
    let text = panel(&ledger.snapshot().unwrap(), "claude", NOW, Zone::UTC, 78).unwrap();
    assert!(text.contains("\n          me\\u{7} reported 32 % 2m ago; the provider reported 42 % 5m ago\n"), "{text}");
    let later = NOW.plus(20 * MINUTE);
    let text = panel(&ledger.snapshot().unwrap(), "claude", later, Zone::UTC, 78).unwrap();
    assert!(text.contains("\n          the provider reported 61.5 % 25m ago (old)\n"), "{text}");
    assert_eq!(panel(&ledger.snapshot().unwrap(), "google", NOW, Zone::UTC, 78).unwrap(), "");
}

#[test]
fn dialogs_are_drawn_in_front() {
    let mut shown = state(&busy());
    press(&mut shown, "r32");
    same("override", &shown, (80, 24));
    press(&mut shown, "0\n");
    same("override_invalid", &shown, (40, 12));
    press(&mut shown, "\u{1b}R");
    same("reset", &shown, (80, 24));
    press(&mut shown, "n?");
    same("help", &shown, (80, 24));
}

#[test]
fn an_empty_ledger_and_one_without_a_switch() {
    let ledger = Ledger::in_memory().unwrap();
    same("empty", &state(&ledger), (80, 24));
    ledger.record(call("openai", "gpt-5", 1_000), NOW).unwrap();
    same("no_switch", &state(&ledger), (80, 24));
}

#[test]
fn a_past_state_is_read_only() {
    let ledger = busy();
    let snapshot = ledger.as_of(AsOf::Time(NOW.plus(-HOUR))).unwrap();
    let mut shown = ScreenState::new(ViewModel::read(&snapshot, NOW.plus(-HOUR), Zone::UTC, 7).unwrap());
    for key in ["r", "R", "p", "u"] {
        assert_eq!(press(&mut shown, key), None);
        assert!(shown.modal.is_none() && shown.message.take().is_some(), "{key}");
    }
    same("past", &shown, (80, 24));
}

#[test]
fn a_read_only_ledger_is_marked() {
    let mut shown = state(&busy());
    assert!(!lines_of(&buffer(&shown, Theme::plain(), 80, 24)).contains("read-only"));
    shown.view_model.obstacle = Some("the file cannot be written to".to_owned());
    let text = lines_of(&buffer(&shown, Theme::plain(), 80, 24));
    assert!(text.contains("read-only: the file cannot be written to") && !text.contains("p pause"), "{text}");
    // A message replaces the keys; the mark remains.
    shown.message = Some("no".to_owned());
    assert!(lines_of(&buffer(&shown, Theme::plain(), 80, 24)).contains("read-only"));
}

#[test]
fn the_reason_of_a_failed_import_is_shown() {
    let mut shown = state(&busy());
    shown.view_model.import_failure = Some("a log\u{1b} cannot be read".to_owned());
    let text = lines_of(&buffer(&shown, Theme::plain(), 80, 24));
    assert!(text.contains("new calls are not imported: a log\\u{1b} cannot be read"), "{text}");
}

#[test]
fn no_colour_means_none() {
    let shown = state(&busy());
    let coloured = |theme| {
        let buffer = buffer(&shown, theme, 120, 40);
        buffer.content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(coloured(Theme::dark()));
    assert!(!coloured(Theme::plain()));
}

#[test]
fn no_size_is_too_small() {
    let ledger = busy();
    ledger.record(call("my-gateway", "模型", 5).account("多個帳戶很長的名字\u{7}"), NOW).unwrap();
    ledger.pause(Paused { reason: "manual".to_owned(), until: None, note: None }, NOW).unwrap();
    let mut shown = state(&ledger);
    for keys in ["", "j", "j", "j", "r", "1\u{1b}R", "n?"] {
        press(&mut shown, keys);
        for width in [1, 2, 3, 5, 8, 10, 13, 20, 39, 40, 60, 99, 100, 130] {
            for height in [1, 2, 3, 4, 5, 8, 12, 15, 16, 19, 20, 24, 31, 32, 40] {
                let text = lines_of(&buffer(&shown, Theme::dark(), width, height));
                assert!(!text.chars().any(|char| char.is_control() && char != '\n'), "{width}x{height}\n{text}");
            }
        }
    }
    let past = buffer(&shown, Theme::dark(), 0, 0);
    assert!(past.content.is_empty());
}

#[test]
fn keys_become_actions() {
    let mut shown = state(&busy());
    let used = |percent: &str, window| Action::Override {
        provider: "anthropic".to_owned(),
        account: None,
        window,
        used: percent.parse().unwrap(),
    };
    assert_eq!(press(&mut shown, "r32\n"), Some(used("32", WindowKind::Session)));
    assert_eq!(press(&mut shown, "r\t129\u{8}\n"), Some(used("12", WindowKind::Weekly)));
    assert_eq!(press(&mut shown, "Ry"), Some(used("0", WindowKind::Session)));
    assert_eq!(press(&mut shown, "Rn"), None);
    assert_eq!(press(&mut shown, "r\n"), None);
    assert_eq!(shown.modal, None);
    assert_eq!(press(&mut shown, "rabc\n"), None);
    assert!(matches!(&shown.modal, Some(Modal::Override { invalid: true, .. })));
    assert_eq!(press(&mut shown, "\u{1b}"), None); // closes the modal, not the dashboard
    assert_eq!([press(&mut shown, "p"), press(&mut shown, "n")], [None, None]); // a pause is confirmed
    assert_eq!([press(&mut shown, "py"), press(&mut shown, "u")], [Some(Action::Pause), Some(Action::Resume)]);
    assert_eq!([press(&mut shown, "q"), press(&mut shown, "\u{1b}")], [Some(Action::Quit), Some(Action::Quit)]);
    press(&mut shown, "r");
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(shown.key(interrupt), Some(Action::Quit));
    shown.modal = None;
    // A provider without a quota has nothing to override.
    press(&mut shown, "j");
    assert_eq!(press(&mut shown, "r"), None);
    assert!(shown.modal.is_none() && shown.message.unwrap().contains("no API quota"));
}

#[test]
fn the_selected_account_stays_selected() {
    let ledger = busy();
    let mut shown = state(&ledger);
    press(&mut shown, "j");
    assert_eq!(shown.usage().unwrap().provider, "ollama");
    ledger.record(call("google", "gemini", 1), NOW).unwrap();
    shown.show(ViewModel::read(&ledger.snapshot().unwrap(), NOW, Zone::UTC, 7).unwrap());
    assert_eq!((shown.selected, shown.usage().unwrap().provider.as_str()), (2, "ollama"));
}
