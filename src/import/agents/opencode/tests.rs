mod second_generation;

use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::*;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::{ImportOptions, SourceReport, run};
use crate::ledger::Ledger;
use crate::model::time::Timestamp;
use crate::model::tokens::Tokens;

/// Time of the first message, in milliseconds since the epoch.
const START: i64 = 1_795_464_190_450;
const ID: &str = "msg_20a0159f2001dIKjgYkSV6AIAq";

/// Builds an answer as the client writes it. Start and end are milliseconds after `START`.
fn answer(begun: i64, ended: Option<i64>, tokens: &str) -> String {
    let completed = ended.map(|at| format!(r#","completed":{}"#, START + at)).unwrap_or_default();
    let finish = ended.map(|_| r#","finish":"stop""#).unwrap_or_default();
    format!(
        r#"{{"parentID":"msg_0","role":"assistant","mode":"build","path":{{"cwd":"/work","root":"/"}},"cost":0.012345678901,"tokens":{tokens},"modelID":"gpt-5.1","providerID":"mock","time":{{"created":{}{completed}}}{finish}}}"#,
        START + begun
    )
}

fn counts(output: u64) -> String {
    let total = 100 + 40 + 6 + output + 9;
    format!(r#"{{"total":{total},"input":100,"output":{output},"reasoning":9,"cache":{{"read":40,"write":6}}}}"#)
}

const NONE: &str = r#"{"input":0,"output":0,"reasoning":0,"cache":{"read":0,"write":0}}"#;

fn file(name: &str, text: &str) -> Result<Document, String> {
    let path = Path::new("/h/.local/share/opencode/storage/message/ses_1").join(format!("{name}.json"));
    assert!(Opencode.wants(&path) && matches!(Opencode.format(&path), LogFormat::Document(_)));
    Opencode.document(&path, text.as_bytes(), Zone::UTC, None).map_err(|refusal| refusal.to_string())
}

/// A home with its own database.
struct OpencodeHome {
    directory: TempDir,
    database: Connection,
}

impl OpencodeHome {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join(".local/share/opencode");
        std::fs::create_dir_all(&place).unwrap();
        let database = Connection::open(place.join("opencode.db")).unwrap();
        database.pragma_update(None, "journal_mode", "wal").unwrap();
        let tables =
            "CREATE TABLE session (id text PRIMARY KEY, directory text NOT NULL, time_created integer NOT NULL);
            CREATE TABLE message (id text PRIMARY KEY, session_id text NOT NULL, time_created integer NOT NULL,
                time_updated integer NOT NULL, data text NOT NULL);
            CREATE TABLE part (id text PRIMARY KEY, message_id text NOT NULL, data text NOT NULL);
            CREATE TABLE session_message (id text PRIMARY KEY, session_id text NOT NULL, type text NOT NULL,
                seq integer NOT NULL, time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL);
            INSERT INTO session VALUES ('ses_1', '/work', 1795464190000);";
        database.execute_batch(tables).unwrap();
        Self { directory, database }
    }

    fn put(&self, id: &str, session: &str, updated: i64, data: &str) {
        let row = params![id, session, START, START + updated, data];
        self.database.execute("INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?)", row).unwrap();
    }

    fn update(&self, id: &str, updated: i64, data: &str) {
        let row = params![START + updated, data, id];
        assert_eq!(self.database.execute("UPDATE message SET time_updated = ?, data = ? WHERE id = ?", row), Ok(1));
    }

    fn message(&self, session: &str, id: &str, text: &str) {
        let place = self.directory.path().join(".local/share/opencode/storage/message").join(session);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join(format!("{id}.json")), text).unwrap();
    }

    fn import(&self, ledger: &Ledger) -> SourceReport {
        let options = ImportOptions {
            sources: vec!["opencode".to_owned()],
            homes: vec![self.directory.path().to_owned()],
            ..ImportOptions::default()
        };
        let now = Timestamp::from_millis(START + 86_400_000);
        run(ledger, &options, now, &mut |_| {}).unwrap().sources.remove(0)
    }
}

/// Returns the numbers of new, repeated and changed records, and of skipped rows or files.
fn import_counts(report: &SourceReport) -> [u64; 4] {
    [report.recorded, report.duplicates, report.amended, report.skipped.len() as u64]
}

fn total(ledger: &Ledger) -> u128 {
    let now = Timestamp::from_millis(START + 86_400_000);
    ledger.provider("mock", now).unwrap().all_time.tokens.total()
}

#[test]
fn an_answer_is_a_call() {
    let read = file(ID, &answer(1, Some(900), &counts(20))).unwrap();
    let [ParsedCall { at, record }] = &read.calls[..] else { panic!("{read:?}") };
    let tokens = Tokens {
        input: Some(100),
        cache_read: Some(40),
        cache_write: Some(6),
        output: Some(20),
        reasoning: Some(9),
        ..Tokens::default()
    };
    assert_eq!(record.tokens, tokens);
    assert_eq!(at.millis(), START + 1);
    assert_eq!((&*record.provider, record.agent.as_deref()), ("mock", Some("opencode")));
    assert_eq!((record.model.as_deref(), record.project.as_deref()), (Some("gpt-5.1"), Some("/work")));
    assert_eq!((record.conversation.as_deref(), &*record.labels["mode"]), (Some("ses_1"), "build"));
    assert_eq!(record.cost.unwrap().to_string(), "0.012345678901", "to the last digit");
    assert_eq!((&*record.keys[0], record.keys.len()), (ID, 2));
    assert_eq!(record.raw.as_ref().unwrap().get(), counts(20));
    assert_eq!(read.conversation.as_deref(), Some("ses_1"));
}

#[test]
fn provider_and_cost_are_read_if_they_are_stated() {
    let one = |from: &str, to: &str| {
        let text = answer(1, Some(900), &counts(20)).replace(from, to);
        file(ID, &text).unwrap().calls.remove(0).record
    };
    assert_eq!(one(r#""mock""#, r#""anthropic""#).provider, "anthropic");
    assert_eq!(one(r#""mock""#, r#""togetherai""#).provider, "together");
    assert_eq!(one(r#""mock""#, r#""My Own""#).provider, "my-own");
    assert_eq!(one("0.012345678901", "0").cost, None, "no price is known, or a subscription");
    assert_eq!(one("0.012345678901", "1.5e-7").cost.unwrap().to_string(), "0.00000015");
}

#[test]
fn a_running_or_failed_request_is_not_a_call() {
    let failed = answer(1, None, NONE).replacen('{', r#"{"error":{"name":"MessageAbortedError"},"#, 1);
    for text in [answer(1, None, NONE), failed, r#"{"role":"user","time":{"created":1}}"#.to_owned()] {
        let read = file(ID, &text).unwrap();
        assert_eq!((read.calls, read.skipped), (vec![], vec![]), "{text}");
    }
}

#[test]
fn unknown_content_is_refused_and_never_counted_as_zero() {
    let whole = answer(1, Some(900), &counts(20));
    let refused = |from: &str, to: &str| file(ID, &whole.replace(from, to)).unwrap_err();
    assert_eq!(refused(r#""role":"assistant","#, ""), "unknown shape: a message without a role");
    assert_eq!(refused(r#","providerID":"mock""#, ""), "unknown shape: an answer without a provider");
    assert_eq!(refused(&format!(r#""created":{}"#, START + 1), r#""x":1"#), "unknown shape: an answer without a time");
    assert_eq!(refused(&counts(20), NONE), "unknown usage: an answer that ended without counts");
    // Older clients store no finish reason.
    let older = whole.replace(r#","finish":"stop""#, "").replace(&counts(20), NONE);
    assert_eq!(file(ID, &older).unwrap_err(), "unknown usage: an answer that ended without counts");
    assert_eq!(
        refused(&format!(r#","tokens":{}"#, counts(20)), ""),
        "unknown usage: an answer that ended without counts"
    );
    // A negative number loses only its own class.
    let negative = file(ID, &whole.replace(r#""input":100"#, r#""input":-1"#)).unwrap().calls.remove(0).record;
    assert_eq!((negative.tokens.input, negative.tokens.output), (None, Some(20)));
    assert_eq!(negative.residual.as_deref(), Some("`input` is -1: left out; total 175 but parts sum to 75"));
    assert!(refused(&counts(20), r#"{"prompt":3}"#).contains("no token count"));
    let first = r#"{"id":"msg_1","role":"assistant","parts":[],"metadata":{"assistant":{"tokens":{"input":1}}}}"#;
    assert_eq!(file(ID, first).unwrap_err(), "unknown shape: a message of the first clients");
    assert!(file(ID, &whole[..90]).unwrap_err().starts_with("not valid JSON"));
}

#[test]
fn an_answer_of_several_steps_is_their_sum_in_files_and_rows() {
    let home = OpencodeHome::new();
    let text = answer(1, Some(900), &counts(20));
    let step = |tokens: &str| format!(r#"{{"type":"step-finish","cost":0,"tokens":{tokens}}}"#);
    let quoting_part = r#"{"type":"text","text":"\"type\":\"step-finish\""}"#.to_owned();
    let parts = [quoting_part, step(&counts(7)), step(&counts(20))];
    home.message("ses_1", ID, &text);
    let place = home.directory.path().join(".local/share/opencode/storage/part").join(ID);
    std::fs::create_dir_all(&place).unwrap();
    home.put(ID, "ses_1", 900, &text);
    for (number, part) in parts.iter().enumerate() {
        std::fs::write(place.join(format!("prt_{number}.json")), part).unwrap();
        home.database.execute("INSERT INTO part VALUES (?, ?, ?)", params![number.to_string(), ID, part]).unwrap();
    }
    let ledger = Ledger::in_memory().unwrap();
    assert_eq!(import_counts(&home.import(&ledger)), [1, 1, 0, 0]);
    assert_eq!(total(&ledger), 2 * 155 + 7 + 20);
    let path = home.directory.path().join(".local/share/opencode/storage/message/ses_1").join(format!("{ID}.json"));
    let record = Opencode.document(&path, text.as_bytes(), Zone::UTC, None).unwrap().calls.remove(0).record;
    assert_eq!(record.residual.as_deref(), Some("the sum of 2 steps, of which the message states the last"));
    assert_eq!(record.cost.unwrap().to_string(), "0.012345678901", "which is of all steps already");
    // A malformed step is reported, and the other counts remain.
    home.database.execute("UPDATE part SET data = ? WHERE id = '1'", [step(r#"{"input":"7"}"#)]).unwrap();
    home.update(ID, 990, &answer(1, Some(990), &counts(20)));
    assert_eq!(import_counts(&home.import(&ledger)), [0, 0, 0, 1]);
}

#[test]
fn a_database_without_its_tables_or_columns_is_refused() {
    let refused = |tables: &str| {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(tables).unwrap();
        Opencode.database(Path::new("opencode.db"), &database, None).unwrap_err().to_string()
    };
    assert_eq!(refused("CREATE TABLE other (id text)"), "unknown shape: a database without a table `message`");
    let missing = refused("CREATE TABLE message (id text, session_id text, time_created integer, body text)");
    assert_eq!(missing, "unknown shape: the table `message` has no column time_updated, data");
}

#[test]
fn rows_are_read_once_and_again_when_they_change() {
    let home = OpencodeHome::new();
    let ledger = Ledger::in_memory().unwrap();
    home.put("msg_a", "ses_1", 0, r#"{"role":"user"}"#);
    home.put("msg_b", "ses_1", 10, &answer(1, Some(10), &counts(20)));
    home.put("msg_c", "ses_1", 20, &answer(2, None, NONE));
    assert_eq!(import_counts(&home.import(&ledger)), [1, 0, 0, 0]);
    assert_eq!(import_counts(&home.import(&ledger)), [0; 4]);
    // The answer in progress gets counts, although its row has an old time; then they grow.
    home.update("msg_c", -900_000, &answer(2, None, &counts(5)));
    assert_eq!(import_counts(&home.import(&ledger)), [1, 0, 0, 0]);
    home.update("msg_c", 50, &answer(2, Some(50), &counts(30)));
    home.put("msg_d", "ses_1", 60, &answer(3, Some(60), &counts(1)));
    assert_eq!(import_counts(&home.import(&ledger)), [1, 0, 1, 0]);
    assert_eq!(total(&ledger), 3 * 155 + 20 + 30 + 1);
    // A malformed row does not affect those after it.
    home.put("msg_e", "ses_1", 70, r#"{"role":"assistant","tokens":{"input":"1"}}"#);
    home.put("msg_f", "ses_1", 80, &answer(4, Some(80), &counts(2)));
    let report = home.import(&ledger);
    assert_eq!(import_counts(&report), [1, 0, 0, 1]);
    assert!(report.skipped[0].why.contains("`input` is the string"), "{:?}", report.skipped);
    assert_eq!(import_counts(&home.import(&ledger)), [0; 4]);
}

#[test]
fn a_row_from_the_future_hides_no_change() {
    let home = OpencodeHome::new();
    let ledger = Ledger::in_memory().unwrap();
    home.put("msg_a", "ses_1", 10, &answer(1, Some(10), &counts(20)));
    home.put("msg_b", "ses_1", 9_000_000_000_000_000, &answer(2, Some(20), &counts(20)));
    assert_eq!(import_counts(&home.import(&ledger)), [2, 0, 0, 0]);
    let now = Timestamp::now().millis() - START;
    home.update("msg_a", now, &answer(1, Some(10), &counts(50)));
    assert_eq!(import_counts(&home.import(&ledger)), [0, 0, 1, 0]);
    assert_eq!(import_counts(&home.import(&ledger)), [0; 4]);
    // A mark that an earlier build stored: it missed all changes since.
    let read = |resume: Option<&serde_json::Value>| database::read(&home.database, resume).unwrap();
    let mut poisoned = read(None).resume.unwrap();
    poisoned["message"]["updated"] = 9_000_000_000_000_000_i64.into();
    poisoned["message"]["recent"] = serde_json::json!([]);
    let healed = read(Some(&poisoned));
    assert_eq!(healed.calls.len(), 2);
    assert!(read(healed.resume.as_ref()).calls.is_empty());
}

#[test]
fn rows_with_reused_numbers_are_read() {
    let home = OpencodeHome::new();
    let ledger = Ledger::in_memory().unwrap();
    for id in 0..4 {
        home.put(&format!("msg_{id}"), "ses_1", id, &answer(id, Some(id + 1), &counts(20)));
    }
    assert_eq!(import_counts(&home.import(&ledger)), [4, 0, 0, 0]);
    home.database.execute_batch("DELETE FROM message WHERE id <> 'msg_0'").unwrap();
    home.put("msg_9", "ses_1", -3_600_000, &answer(9, Some(10), &counts(1)));
    assert_eq!(home.import(&ledger).recorded, 1);
    assert_eq!(total(&ledger), 5 * 155 + 4 * 20 + 1);
}

#[test]
fn a_file_and_the_row_it_became_are_one_record() {
    let home = OpencodeHome::new();
    let ledger = Ledger::in_memory().unwrap();
    let text = answer(1, Some(900), &counts(20));
    home.message("ses_1", ID, &text);
    assert_eq!(import_counts(&home.import(&ledger)), [1, 0, 0, 0]);
    home.put(ID, "ses_1", 900, &text);
    assert_eq!(import_counts(&home.import(&ledger)), [0, 1, 0, 0]);
    assert_eq!(import_counts(&home.import(&ledger)), [0; 4]);
    // Another ledger imports both at once.
    let other = Ledger::in_memory().unwrap();
    assert_eq!(import_counts(&home.import(&other)), [1, 1, 0, 0]);
    assert_eq!((total(&ledger), total(&other)), (175, 175));
}

#[test]
fn copies_in_a_fork_belong_to_the_original_session() {
    let home = OpencodeHome::new();
    let ledger = Ledger::in_memory().unwrap();
    let text = answer(1, Some(900), &counts(20));
    // The copy has its own id, created an hour later, and its path sorts first.
    home.put("msg_20a383e5d001dIKjgYkSV6AIAq", "ses_2", 3_600_000, &text);
    home.database.execute("INSERT INTO session VALUES ('ses_2', '/work', ?)", [START + 3_600_000]).unwrap();
    home.import(&ledger);
    home.put(ID, "ses_1", 3_600_001, &text);
    home.import(&ledger);
    assert_eq!(total(&ledger), 175);
    let report = crate::report::Report::by(crate::report::ReportKey::Conversation);
    let rows = ledger.report(&report).unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.keys[0].as_deref()).collect::<Vec<_>>(), [Some("ses_1")]);
}

#[test]
fn its_files_are_found_and_nothing_else_is() {
    let below = |path: &str| Opencode.wants(&Path::new("/d/opencode").join(path));
    assert!(below("opencode.db") && below("opencode-dev.db") && below("storage/message/ses_1/msg_1.json"));
    for other in ["opencode.db-wal", "auth.json", "other.db", "storage/session/p/ses_1.json", "opencodex.db"] {
        assert!(!below(other), "{other}");
    }
    let enters = |path: &str| Opencode.enters(&Path::new("/d/opencode").join(path));
    assert!(enters("storage") && enters("storage/message") && enters("storage/message/ses_1"));
    let older = Path::new("project/home-dev/storage/session/message/ses_1/msg_1.json");
    assert!(
        older.ancestors().skip(1).take(6).all(|dir| enters(dir.to_str().unwrap())) && below(older.to_str().unwrap())
    );
    assert!(!enters("storage/part") && !enters("snapshot") && !enters("log") && !enters("storage/session/p"));
    let roots = DESCRIPTOR.roots(Path::new("/h"));
    assert!(roots.contains(&Path::new("/h/.local/share/opencode").to_owned()));
    let variable = |name: &str| match name {
        "XDG_DATA_HOME" => Some("/data".to_owned()),
        "OPENCODE_DB" => Some("mine.db".to_owned()),
        _ => None,
    };
    assert_eq!(DESCRIPTOR.configured(&variable), [Path::new("/data/opencode"), Path::new("/data/opencode/mine.db")]);
    let variable = |name: &str| (name == "OPENCODE_DB").then(|| "/x/mine.db".to_owned());
    assert_eq!(DESCRIPTOR.configured(&variable), [Path::new("/x/mine.db")]);
    let variable = |name: &str| match name {
        "HOME" => Some("/h".to_owned()),
        "OPENCODE_DB" => Some("mine.db".to_owned()),
        _ => None,
    };
    assert!(DESCRIPTOR.configured(&variable).contains(&Path::new("/h/.local/share/opencode/mine.db").to_owned()));
}

#[test]
fn a_database_without_the_message_table_is_refused_and_an_empty_one_is_not() {
    let home = OpencodeHome::new();
    let ledger = Ledger::in_memory().unwrap();
    assert_eq!(import_counts(&home.import(&ledger)), [0, 0, 0, 0]);
    home.put(ID, "ses_1", 900, &answer(1, Some(900), &counts(20)));
    home.database.execute_batch("INSERT INTO part VALUES ('prt_1', 'msg_1', '{}')").unwrap();
    home.database.execute_batch("ALTER TABLE message RENAME TO message_v2").unwrap();
    let report = home.import(&ledger);
    assert_eq!(import_counts(&report), [0, 0, 0, 1]);
    let why = "unknown shape: a database with sessions, whose messages are in no table that is known";
    assert_eq!(report.skipped[0].why, why);
    // The table may exist without being in use.
    home.database.execute_batch("CREATE TABLE message AS SELECT * FROM message_v2 LIMIT 0").unwrap();
    assert_eq!(home.import(&ledger).skipped[0].why, why);
    home.database.execute_batch("DROP TABLE message; ALTER TABLE message_v2 RENAME TO message").unwrap();
    assert_eq!(import_counts(&home.import(&ledger)), [1, 0, 0, 0]);
}

#[test]
fn an_unknown_role_is_refused_in_rows_and_files() {
    let home = OpencodeHome::new();
    let answer_text = answer(1, Some(900), &counts(20));
    home.put("msg_1", "ses_1", 900, &answer_text.replace("\"role\"", "\"kind\""));
    home.put("msg_2", "ses_1", 900, &answer_text.replace("\"assistant\"", "\"model\""));
    home.put("msg_3", "ses_1", 900, r#"{"role":"user","summary":{"diffs":[]},"tokens":null}"#);
    let report = home.import(&Ledger::in_memory().unwrap());
    let why: Vec<_> = report.skipped.iter().map(|skipped| &*skipped.why).collect();
    let refused = ["unknown shape: a message without a role", "unknown shape: token counts of an unknown role"];
    assert_eq!((report.recorded, why), (0, refused.to_vec()));
    assert_eq!(file(ID, &answer_text.replace("\"role\"", "\"kind\"")).unwrap_err(), refused[0]);
    assert_eq!(file(ID, &answer_text.replace("\"assistant\"", "\"model\"")).unwrap_err(), refused[1]);
}
