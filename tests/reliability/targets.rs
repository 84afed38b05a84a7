//! Fuzz targets: everything that reads foreign bytes. Each function accepts any bytes and panics if a promise is
//! broken. The fuzzer in `fuzz/` calls them, and so does a test with the stored inputs.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use usage_ledger::event::Event;
use usage_ledger::import::{self, ImportOptions};
use usage_ledger::internals::agent;
use usage_ledger::internals::exhaustion::{self, Stream, reset};
use usage_ledger::merkle::{Checkpoint, ConsistencyProofText, Hash, InclusionProofText, Note, Signer, Verifier};
use usage_ledger::{Ledger, Position, Timestamp, Usd, Zone, normalise, quota};

/// A target and its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets; the directory of stored inputs has the same name.
pub const TARGETS: [Target; 26] = [
    ("import_claude_code", |data| logs("claude-code", &[".claude/projects/-work/a.jsonl"], data)),
    ("import_codex", |data| {
        let of = ".codex/sessions/2026/11/23/rollout-2026-11-23T20-03-04-01a20a01-4170-7580-93ce-bb2245f125b9.jsonl";
        logs("codex", &[of, ".codex/sessions/rollout-2025-05-01-01a20a01-4170-7580-93ce-bb2245f125b9.json"], data);
    }),
    ("import_gemini_cli", |data| {
        let chats =
            [".gemini/tmp/a/chats/session-2026-11-23T20-03-ad0b57dc.jsonl", ".gemini/tmp/a/chats/session-1.json"];
        logs("gemini-cli", &chats, data);
    }),
    ("import_qwen_code", |data| {
        logs("qwen-code", &[".qwen/projects/-work/chats/s1.jsonl", ".qwen/tmp/0a1b/chats/session-1.json"], data);
    }),
    ("import_opencode", |data| {
        let text = ".local/share/opencode/storage/message/ses_1/msg_1.json";
        rows("opencode", ".local/share/opencode/opencode.db", opencode(), Some(text), data);
    }),
    ("import_copilot_cli", |data| {
        let texts = [".copilot/session-state/a/events.jsonl", ".copilot/otel/copilot.jsonl"];
        match data.split_first() {
            Some((0..128, rest)) => logs("copilot-cli", &texts, rest),
            Some((_, rest)) => {
                let of = include_str!("../fixtures/agents/copilot-cli/.copilot/session-store.db.sql");
                rows("copilot-cli", ".copilot/session-store.db", &made(of), None, rest);
            }
            None => {}
        }
    }),
    ("import_amp", |data| logs("amp", &[".local/share/amp/threads/T-1.json"], data)),
    ("import_cline", |data| {
        let task = ".config/Code/User/globalStorage/saoudrizwan.claude-dev/tasks/1795428000000/ui_messages.json";
        logs("cline", &[task, ".cline/data/sessions/1795430000000_a1b2c/1795430000000_a1b2c.messages.json"], data);
    }),
    ("import_roo_code", |data| {
        let task = ".config/Code/User/globalStorage/rooveterinaryinc.roo-cline/tasks/1/ui_messages.json";
        logs("roo-code", &[task], data);
    }),
    ("import_kilo_code", |data| {
        logs("kilo-code", &[".config/Code/User/globalStorage/kilocode.kilo-code/tasks/1/ui_messages.json"], data);
    }),
    ("import_cursor", |data| {
        let of = include_str!("../fixtures/agents/cursor/.config/Cursor/User/globalStorage/state.vscdb.sql");
        rows("cursor", ".config/Cursor/User/globalStorage/state.vscdb", &made(of), None, data);
    }),
    ("import_droid", |data| logs("droid", &[".factory/sessions/-work/a.settings.json"], data)),
    ("import_goose", |data| {
        let of = include_str!("../fixtures/agents/goose/.local/share/goose/sessions/sessions.db.sql");
        rows("goose", ".local/share/goose/sessions/sessions.db", &made(of), None, data);
    }),
    ("import_koan", |data| logs("koan", &["instance/usage/2026-06-10.jsonl"], data)),
    ("packed_log", |data| {
        let of =
            ".codex/sessions/2026/11/23/rollout-2026-11-23T20-03-04-01a20a01-4170-7580-93ce-bb2245f125b9.jsonl.zst";
        logs("codex", &[of], data);
    }),
    ("event_line", event_line),
    ("normalise_usage", normalise_usage),
    ("normalise_response", normalise_response),
    ("agent_output", agent_output),
    ("observe_quota", observe_quota),
    ("exhaustion_text", exhaustion_text),
    ("reset_text", reset_text),
    ("note_and_checkpoint", note_and_checkpoint),
    ("proofs", proofs),
    ("short_texts", short_texts),
    ("http_body", http_body),
];

fn now() -> Timestamp {
    "2026-11-23T20:00:00Z".parse().unwrap()
}

/// The first byte, and the rest as text if it is text.
fn text(data: &[u8]) -> Option<(usize, &str)> {
    let (first, rest) = data.split_first()?;
    Some((usize::from(*first), std::str::from_utf8(rest).ok()?))
}

/// Imports a home twice: the second import finds nothing new, and the ledger verifies.
fn import_home(source: &str, home: &Path) {
    let ledger = Ledger::in_memory().unwrap();
    let options = ImportOptions::new().sources([source.to_owned()]).homes([home.to_owned()]);
    let first = import::run(&ledger, &options, now(), &mut |_| {}).unwrap();
    let head = ledger.head().unwrap();
    let again = import::run(&ledger, &options, now(), &mut |_| {}).unwrap();
    assert_eq!(ledger.head().unwrap(), head, "an import of nothing new appends: {first:?}, then {again:?}");
    let verified = ledger.verify().unwrap();
    assert!(verified.ok, "{:?}", verified.findings);
}

/// A log of an agent; the first byte selects its path.
fn logs(source: &str, places: &[&str], data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(places[usize::from(*first) % places.len()]);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, rest).unwrap();
    import_home(source, home.path());
}

/// The database of an agent: the bytes themselves, or a valid database in which one column contains them; or a file, if
/// the agent also writes files.
fn rows(source: &str, place: &str, good: &[u8], other: Option<&str>, data: &[u8]) {
    let [way, table, column, rest @ ..] = data else { return };
    if *way < 64
        && let Some(other) = other
    {
        return logs(source, &[other], data);
    }
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(place);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    if *way > 240 {
        fs::write(&file, rest).unwrap();
        return import_home(source, home.path());
    }
    fs::write(&file, good).unwrap();
    let database = rusqlite::Connection::open(&file).unwrap();
    database.execute_batch("PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF").unwrap();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let tables =
        names("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name");
    let table = &tables[usize::from(*table) % tables.len()];
    let columns = names(&format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"));
    let column = &columns[usize::from(*column) % columns.len()];
    let update = format!("UPDATE OR IGNORE \"{table}\" SET \"{column}\" = ?");
    // Values that the table refuses are skipped.
    let _ = match std::str::from_utf8(rest) {
        Ok(text) => database.execute(&update, [text]),
        Err(_) => database.execute(&update, [rest]),
    };
    drop(database);
    import_home(source, home.path());
}

/// A database from an SQL script, cached per target.
fn made(sql: &'static str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF").unwrap();
    database.execute_batch(sql).unwrap();
    drop(database);
    fs::read(path).unwrap()
}

fn opencode() -> &'static [u8] {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    GOOD.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made.db");
        fs::write(&path, include_bytes!("../fixtures/clients/.local/share/opencode/opencode.db")).unwrap();
        let database = rusqlite::Connection::open(&path).unwrap();
        let _: String = database.query_row("PRAGMA journal_mode=DELETE", [], |row| row.get(0)).unwrap();
        drop(database);
        fs::read(path).unwrap()
    })
}

/// A parsed event serialises to a line that parses to the same event.
fn event_line(data: &[u8]) {
    let Ok(line) = std::str::from_utf8(data) else { return };
    if let Ok(event) = Event::from_line(Position::new(1), line) {
        let written = event.to_line().unwrap();
        assert!(!written.contains(['\n', '\r']), "{written:?}");
        let again = Event::from_line(Position::new(1), &written).unwrap_or_else(|error| panic!("{written}: {error}"));
        assert_eq!(again.to_line().unwrap(), written);
    }
}

/// A normalised usage object has counts that can be recorded.
fn normalise_usage(data: &[u8]) {
    let Some((first, json)) = text(data) else { return };
    let format = normalise::UsageFormat::ALL[first % normalise::UsageFormat::ALL.len()];
    if let Ok(normalised) = normalise::usage(format, json) {
        for class in usage_ledger::TokenClass::ALL {
            assert!(normalised.tokens.get(class).is_none_or(|count| count <= usage_ledger::MAX_COUNT));
        }
    }
}

/// A parsed response can be recorded, or is refused as invalid; it never damages anything.
fn normalise_response(data: &[u8]) {
    let Some((first, json)) = text(data) else { return };
    let format = normalise::UsageFormat::ALL[first % normalise::UsageFormat::ALL.len()];
    if let Ok(record) = normalise::response(format, json) {
        record_it(record);
    }
}

fn record_it(record: usage_ledger::TokenRecord) {
    let ledger = Ledger::in_memory().unwrap();
    match ledger.record(record, now()) {
        Ok(_) => assert!(ledger.verify().unwrap().ok),
        Err(error) => assert!(!error.is_store(), "{error}"),
    }
}

fn agent_output(data: &[u8]) {
    let Some((_, output)) = text(data) else { return };
    let _ = agent::extract(output, agent::Turns::Auto, None);
}

/// Observations of a document are appended, and queries still work.
fn observe_quota(data: &[u8]) {
    let Some((first, document)) = text(data) else { return };
    let format = quota::QuotaFormat::ALL[first % quota::QuotaFormat::ALL.len()];
    let Ok(observed) = quota::observe(format, document, now()) else { return };
    let ledger = Ledger::in_memory().unwrap();
    let events: Vec<_> = observed.events(now()).collect();
    match ledger.append(events, now()) {
        Ok(_) => {
            assert!(ledger.verify().unwrap().ok);
            ledger.status(now()).unwrap();
        }
        Err(error) => assert!(!error.is_store(), "{error}"),
    }
}

const PROVIDERS: [&str; 8] =
    ["anthropic", "openai", "google", "github-copilot", "ollama-cloud", "xai", "ollama", "other"];

fn exhaustion_text(data: &[u8]) {
    let Some((first, output)) = text(data) else { return };
    let provider = PROVIDERS[first % PROVIDERS.len()];
    for stream in [Stream::Stderr, Stream::StdoutOk, Stream::StdoutFailed] {
        if let Some(found) = exhaustion::detect(provider, stream, output) {
            assert!(found.excerpt.len() <= 4_096, "an excerpt of {} bytes", found.excerpt.len());
            let _ = found.reset(now(), Zone::UTC);
        }
    }
}

/// A parsed reset is in the future or near the present, in any zone.
fn reset_text(data: &[u8]) {
    const ZONES: [&str; 5] = ["UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"];
    let Some((first, words)) = text(data) else { return };
    let zone: Zone = ZONES[first % ZONES.len()].parse().unwrap();
    let read = reset::parse(words, now(), zone);
    let _ = reset::find(words, now(), zone);
    let until = usage_ledger::internals::resume_at(read.at, now());
    assert!(until > now(), "a pause that is over: {until}");
}

/// A key without any signature.
fn verifier() -> &'static Verifier {
    static KEY: OnceLock<Signer> = OnceLock::new();
    KEY.get_or_init(|| Signer::generate("a.example/log").unwrap()).verifier()
}

/// A parsed note round-trips, and verifies under no foreign key.
fn note_and_checkpoint(data: &[u8]) {
    let Ok(words) = std::str::from_utf8(data) else { return };
    if let Ok(note) = words.parse::<Note>() {
        assert_eq!(note.to_string().parse::<Note>().unwrap().to_string(), note.to_string());
        assert!(note.verify(verifier()).is_err(), "a note that was not signed verifies");
        assert!(Checkpoint::open(&note, verifier()).is_err());
    }
    if let Ok(checkpoint) = words.parse::<Checkpoint>() {
        let written = checkpoint.to_string();
        assert_eq!(written.parse::<Checkpoint>().unwrap().to_string(), written);
    }
    let _ = words.parse::<Verifier>().map(|verifier| verifier.to_string());
    let _ = words.parse::<Signer>().map(|signer| signer.verifier().to_string());
}

/// A parsed proof round-trips, and verifies under no foreign key.
fn proofs(data: &[u8]) {
    let Ok(words) = std::str::from_utf8(data) else { return };
    if let Ok(receipt) = words.parse::<InclusionProofText>() {
        assert_eq!(receipt.to_string().parse::<InclusionProofText>().unwrap().to_string(), receipt.to_string());
        assert!(receipt.verify("a line", verifier()).is_err());
    }
    if let Ok(proof) = words.parse::<ConsistencyProofText>() {
        assert_eq!(proof.to_string().parse::<ConsistencyProofText>().unwrap().to_string(), proof.to_string());
        let old = Checkpoint::new("a.example/log", 1, Hash::of_line("a line")).unwrap();
        assert!(proof.verify(&old, verifier()).is_err());
    }
}

/// Times, amounts, durations and zones round-trip.
fn short_texts(data: &[u8]) {
    let Ok(words) = std::str::from_utf8(data) else { return };
    if let Ok(time) = words.parse::<Timestamp>() {
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
    }
    if let Ok(usd) = words.parse::<Usd>() {
        assert_eq!(usd.to_string().parse::<Usd>().unwrap(), usd);
    }
    if let Ok(percent) = words.parse::<usage_ledger::event::Percent>() {
        assert_eq!(percent.to_string().parse::<usage_ledger::event::Percent>().unwrap(), percent);
    }
    let _ = usage_ledger::internals::humanize::duration::parse_duration(words);
    let _ = words.parse::<Zone>();
    let _ = usage_ledger::ProviderId::resolve(words);
}

/// A request to a server: the first byte selects path, type and encoding; the rest is its body.
fn http_body(data: &[u8]) {
    use std::io::{Read, Write};
    let Some((first, body)) = data.split_first() else { return };
    let path = ["/v1/logs", "/v1/traces", "/v1/metrics"][usize::from(*first) % 3];
    let kind = ["application/json", "application/x-protobuf"][usize::from(*first) / 3 % 2];
    let encoding = ["", "content-encoding: gzip\r\n"][usize::from(*first) / 6 % 2];
    let at = server();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {at}\r\ncontent-type: {kind}\r\n{encoding}content-length: {}\r\n\
         connection: close\r\n\r\n",
        body.len()
    );
    let mut stream = std::net::TcpStream::connect(at).unwrap();
    // A body that is refused early may not be read completely.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let status = answer.get(9..12).map(|code| String::from_utf8_lossy(code).into_owned()).unwrap_or_default();
    assert!(
        matches!(status.as_str(), "200" | "400" | "413" | "415" | "503" | "429"),
        "it answers {:?}",
        String::from_utf8_lossy(&answer)
    );
}

/// A server for some requests; a new one follows, so that its ledger stays small.
fn server() -> std::net::SocketAddr {
    use std::sync::{Arc, Mutex, mpsc};
    use usage_ledger::internals::web::{self, Access, Receiver, Services};
    const REQUESTS: u32 = 2_000;
    static RUNNING: Mutex<Option<(std::net::SocketAddr, u32, mpsc::Sender<()>)>> = Mutex::new(None);
    let mut running = RUNNING.lock().unwrap();
    if let Some((at, left @ 1.., _)) = running.as_mut() {
        *left -= 1;
        return *at;
    }
    let receiver = Arc::new(Receiver::new(Ledger::in_memory().unwrap(), now));
    let services = Services::new().telemetry(Arc::clone(&receiver));
    let (send, listening) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let access = Access::new([127, 0, 0, 1].into());
        let ended = async move {
            // It ends when the next one starts.
            let _ = tokio::task::spawn_blocking(move || ended.recv()).await;
        };
        web::serve(services, "127.0.0.1:0".parse().unwrap(), access, |at| send.send(at).unwrap(), ended).unwrap();
    });
    let at = listening.recv().unwrap();
    *running = Some((at, REQUESTS, end));
    at
}
