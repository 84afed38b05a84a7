use std::fs;

use serde_json::json;

use super::*;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::health::missing_usage::LogEnd;
use crate::model::event::Quality;

struct CopilotHome(tempfile::TempDir);

impl CopilotHome {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self, rows: &str) -> Connection {
        let database = Connection::open(self.0.path().join(STORE)).unwrap();
        let tables = "CREATE TABLE sessions (id TEXT PRIMARY KEY, cwd TEXT, created_at TEXT);
            INSERT INTO sessions VALUES ('s1', '/w', '2026-08-06 09:00:00');
            CREATE TABLE assistant_usage_events (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL,
            turn_index INTEGER, agent_id TEXT, model TEXT NOT NULL, input_tokens INTEGER, output_tokens INTEGER,
            cache_read_tokens INTEGER, cache_write_tokens INTEGER, reasoning_tokens INTEGER, total_nano_aiu INTEGER,
            duration_ms INTEGER, created_at TEXT DEFAULT (datetime('now')));";
        database.execute_batch(tables).unwrap();
        database.execute_batch(&format!("INSERT INTO assistant_usage_events VALUES {rows}")).unwrap();
        database
    }

    fn events(&self, lines: &[Value]) -> Document {
        let path = self.0.path().join("session-state/s1/events.jsonl");
        CopilotCli.document(&path, text(lines).as_bytes(), Zone::UTC, None).unwrap()
    }

    fn telemetry(&self, lines: &[Value]) -> (Vec<ParsedCall>, Vec<String>) {
        let directory = self.0.path().join(TELEMETRY);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("a.jsonl"), text(lines)).unwrap();
        let mut parser = CopilotCli.parser(&directory.join("a.jsonl"), None, Zone::UTC).unwrap();
        let skipped = lines.iter().filter_map(|line| parser.line(line.to_string().as_bytes()).err()).collect();
        (parser.take(), skipped)
    }
}

fn text(lines: &[Value]) -> String {
    lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n"
}

fn event(at: &str, kind: &str, data: &Value) -> Value {
    json!({"type": kind, "id": format!("e-{at}"), "parentId": null, "timestamp": format!("2026-08-06T{at}.000Z"), "data": data})
}

fn metrics(input: u64) -> Value {
    let usage = json!({"inputTokens": input, "outputTokens": 50, "cacheReadTokens": 60, "cacheWriteTokens": 10, "reasoningTokens": 20});
    json!({"shutdownType": "routine", "totalPremiumRequests": 3, "modelMetrics": {
        "gpt-5.4": {"requests": {"count": 4, "cost": 3}, "usage": usage},
        "unused": {"requests": {"count": 0}, "usage": {"inputTokens": 0, "outputTokens": 0}}}})
}

fn run() -> [Value; 3] {
    [
        event("09:00:00", "session.start", &json!({"sessionId": "s1", "context": {"cwd": "/w"}})),
        event("09:00:30", "assistant.message", &json!({"content": "a secret", "outputTokens": 50})),
        event("09:10:00", "session.shutdown", &metrics(100)),
    ]
}

const ROW: &str = "(1, 's1', 0, NULL, 'gpt-5.4', 100, 50, 60, 10, 20, 5000, 1500, '2026-08-06 09:00:30')";

fn span(seconds: i64, name: &str, operation: &str, span: &str) -> Value {
    json!({"type": "span", "traceId": "t1", "spanId": span, "name": name, "startTime": [1_786_006_800, 0],
        "endTime": [1_786_006_800 + seconds, 500_000_000], "attributes": {"gen_ai.operation.name": operation,
        "gen_ai.request.model": "gpt-5.4", "gen_ai.response.id": format!("resp-{span}"), "gen_ai.conversation.id": "s1",
        "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 50, "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.reasoning.output_tokens": 20, "gen_ai.input.messages": "a secret", "github.copilot.cost": 1}})
}

#[test]
fn the_store_has_a_row_for_each_call() {
    let home = CopilotHome::new();
    let row2 =
        "(2, 's1', 1, 'explore', 'claude-haiku-4.5', 0, 0, NULL, NULL, NULL, NULL, NULL, '2026-08-06T09:01:00.250Z')";
    let database =
        home.store(&format!("{ROW}, {row2}, (3, 's2', 0, 'explore', 'm', 7, 1, NULL, NULL, NULL, NULL, NULL, 'soon')"));
    let document = CopilotCli.database(Path::new(STORE), &database, None).unwrap();
    assert_eq!(document.calls.len(), 1);
    let call = &document.calls[0];
    assert_eq!(
        (call.record.tokens.counts(), call.at.to_string().as_str()),
        ([30, 60, 0, 0, 10, 30, 20], "2026-08-06T09:00:30.000Z")
    );
    assert_eq!((&*call.record.provider, call.record.project.as_deref()), ("github-copilot", Some("/w")));
    assert_eq!(
        (call.record.duration_ms, call.record.cost, call.record.quality),
        (Some(1_500), None, Quality::Reported)
    );
    assert_eq!(
        document.skipped,
        [(3, "unknown shape: a call without a time".to_owned()), (0, "calls without token counts: 1".to_owned())]
    );
    let again = CopilotCli.database(Path::new(STORE), &database, document.resume.as_ref()).unwrap();
    assert!(again.calls.is_empty() && again.skipped.is_empty());
    assert_eq!(CopilotCli.database(Path::new(STORE), &database, Some(&json!({"last": 9}))).unwrap().calls.len(), 1);
}

#[test]
fn a_store_of_unknown_shape_is_refused_and_an_older_one_is_read() {
    let read = |sql: &str| {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch(sql).unwrap();
        CopilotCli.database(Path::new(STORE), &database, None)
    };
    assert!(read("CREATE TABLE sessions (id TEXT)").unwrap().calls.is_empty());
    assert!(read("CREATE TABLE other (id TEXT)").unwrap_err().to_string().contains("without a table of sessions"));
    let renamed = "CREATE TABLE sessions (id TEXT); CREATE TABLE usage_events (id, session_id, input_tokens)";
    assert!(read(renamed).unwrap_err().to_string().contains("whose calls are in no table that is known"));
    let sessions = Connection::open_in_memory().unwrap();
    sessions.execute_batch("CREATE TABLE sessions (id TEXT)").unwrap();
    let gone = CopilotCli.database(Path::new(STORE), &sessions, Some(&json!({"last": 9})));
    assert!(gone.unwrap_err().to_string().contains("whose calls are in no table that is known"));
    let other = "CREATE TABLE assistant_usage_events (id, session_id, model, tokens, created_at)";
    assert!(read(other).unwrap_err().to_string().contains("has no column `input_tokens`"));
}

#[test]
fn a_summary_counts_if_its_run_has_no_other_record() {
    let home = CopilotHome::new();
    let resumed =
        [event("11:00:00", "session.resume", &json!({})), event("11:05:00", "session.shutdown", &metrics(200))];
    let lines = [run().to_vec(), resumed.to_vec()].concat();
    let document = home.events(&lines);
    let totals =
        |document: &Document| document.calls.iter().map(|call| call.record.tokens.counts()[0]).collect::<Vec<_>>();
    assert_eq!(totals(&document), [30, 100]);
    let record = &document.calls[0].record;
    assert_eq!(
        (record.quality, record.model.as_deref(), record.project.as_deref()),
        (Quality::Derived, Some("gpt-5.4"), Some("/w"))
    );
    assert_eq!(record.keys, ["copilot-cli/s1/e-09:10:00/gpt-5.4"]);
    assert!(document.skipped.is_empty());
    // Telemetry of the first run, then a store that also has the second run.
    let (calls, _) = home.telemetry(&[span(30, "chat gpt-5.4", "chat", "c1")]);
    assert_eq!(calls[0].at.to_string(), "2026-08-06T09:00:30.500Z");
    assert_eq!(totals(&home.events(&lines)), [100]);
    drop(home.store(&format!("{ROW}, (2, 's1', 1, NULL, 'm', 5, 5, 0, 0, 0, 0, 0, '2026-08-06 11:04:00')")));
    let document = home.events(&lines);
    assert!(document.calls.is_empty() && document.skipped.is_empty());
}

#[test]
fn runs_without_counts_are_reported() {
    let home = CopilotHome::new();
    let [start, answer, _] = run();
    let killed = event("10:00:00", "session.resume", &json!({}));
    let older = event("10:30:00", "session.shutdown", &json!({"shutdownType": "routine"}));
    let wrong = event("10:40:00", "session.shutdown", &json!({"modelMetrics": {"m": {"tokens": 5}}}));
    let compacted = event("10:50:00", "session.compaction_complete", &json!({"success": true}));
    let last = event("10:55:00", "session.shutdown", &metrics(100));
    let document = home.events(&[start.clone(), answer.clone(), killed, older, wrong, compacted, last, answer]);
    assert_eq!(document.calls.len(), 1);
    let why: Vec<_> = document.skipped.iter().map(|(line, why)| (*line, why.split(':').next().unwrap())).collect();
    assert_eq!(
        why,
        [
            (0, "answers of a run without a summary, whose token counts are not known"),
            (4, "a run whose summary tells no token counts"),
            (5, "unknown shape"),
            (7, "the context was compacted"),
            (0, "answers of a run without a summary, whose token counts are not known"),
        ]
    );
    let older =
        CopilotCli.document(Path::new("/h/history-session-state/session_1.json"), b"{}", Zone::UTC, None).unwrap();
    assert_eq!(older.skipped, [(0, "an older session, whose file tells no token counts".to_owned())]);
}

#[test]
fn a_summary_without_counts_of_a_run_with_answers_is_reported() {
    let [start, answer, _] = run();
    let read_metrics = |metrics: Value| {
        let end = event("09:10:00", "session.shutdown", &json!({"modelMetrics": metrics}));
        let with = CopilotHome::new().events(&[start.clone(), answer.clone(), end.clone()]);
        assert!(CopilotHome::new().events(&[start.clone(), end]).skipped.is_empty());
        (with.calls.len(), with.skipped)
    };
    let why = "unknown usage: answers of a run whose summary counts no tokens".to_owned();
    for metrics in [json!({}), json!({"m": {"usage": {"promptTokens": 5}}})] {
        assert_eq!(read_metrics(metrics), (0, vec![(3, why.clone())]));
    }
}

#[test]
fn telemetry_of_answers_without_counts_is_reported_once() {
    let mut uncounted = span(30, "chat gpt-5.4", "chat", "c1");
    let attributes = uncounted["attributes"].as_object_mut().unwrap();
    attributes.retain(|name, _| !name.starts_with("gen_ai.usage."));
    let path = Path::new("/h/otel/a.jsonl");
    let mut parser = CopilotCli.parser(path, None, Zone::UTC).unwrap();
    parser.line(json!({}).to_string().as_bytes()).unwrap();
    assert_eq!(parser.end(true), LogEnd::Plain);
    parser.line(uncounted.to_string().as_bytes()).unwrap();
    assert_eq!(parser.end(false), LogEnd::Open);
    assert_eq!(parser.end(true), LogEnd::Silent("answers without token counts".to_owned()));
    let mut parser = CopilotCli.parser(path, parser.resume().as_ref(), Zone::UTC).unwrap();
    assert!(parser.is_missing_usage() && parser.end(true) == LogEnd::Plain);
    parser.line(span(31, "chat gpt-5.4", "chat", "c2").to_string().as_bytes()).unwrap();
    assert_eq!((parser.is_missing_usage(), parser.take().len()), (false, 1));
}

#[test]
fn telemetry_counts_each_call_once() {
    let mut log = span(31, "", "chat", "c1");
    log["type"] = json!("log");
    log["spanContext"] = json!({"traceId": "t1", "spanId": "c1"});
    log["attributes"]["event.name"] = "gen_ai.client.inference.operation.details".into();
    let sum = span(60, "invoke_agent GitHub Copilot", "invoke_agent", "a1");
    let (calls, skipped) = CopilotHome::new().telemetry(&[span(30, "chat gpt-5.4", "chat", "c1"), log, sum, json!({})]);
    assert_eq!((calls.len(), skipped.len()), (2, 0));
    let record = &calls[0].record;
    assert_eq!(record.tokens.counts(), [40, 60, 0, 0, 0, 30, 20]);
    assert_eq!((&record.keys, record.tokens.cache_write), (&vec!["resp-c1".to_owned(), "t1/c1".to_owned()], None));
    assert_eq!(record.keys, calls[1].record.keys);
    assert!(!record.raw.as_ref().unwrap().get().contains("secret"));
}

#[test]
fn the_store_replaces_telemetry_and_unknown_fields_are_reported() {
    let home = CopilotHome::new();
    drop(home.store(ROW));
    let mut earlier = span(-7_200, "chat m", "chat", "c0");
    earlier["attributes"]["gen_ai.conversation.id"] = "s0".into();
    let (calls, skipped) = home.telemetry(&[span(30, "chat m", "chat", "c1"), earlier]);
    assert_eq!((calls.len(), skipped.len()), (1, 0));
    assert_eq!(calls[0].record.conversation.as_deref(), Some("s0"));

    let mut strange = span(30, "embed m", "embeddings", "c1");
    strange["attributes"]["gen_ai.conversation.id"] = "s9".into();
    let mut wrong = span(30, "chat m", "chat", "c2");
    wrong["attributes"]["gen_ai.usage.input_tokens"] = "many".into();
    wrong["attributes"]["gen_ai.conversation.id"] = "s9".into();
    let otlp = json!({"resourceSpans": [{"attributes": [{"key": "gen_ai.usage.input_tokens"}]}]});
    let sum = span(60, "invoke_agent x", "invoke_agent", "a1");
    let (calls, skipped) = CopilotHome::new().telemetry(&[sum, strange, otlp, wrong]);
    assert!(calls.is_empty());
    assert_eq!(
        skipped.iter().map(|why| why.split(" that ").next().unwrap()).collect::<Vec<_>>(),
        [
            "a sum of calls",
            "unknown shape: telemetry of tokens",
            "unknown shape: telemetry of tokens without attributes",
            "unknown shape: `gen_ai.usage.input_tokens` is no whole number from 0",
        ]
    );
}

#[test]
fn only_documents_with_calls_are_read() {
    let home = Path::new("/h/.copilot");
    for inside in ["otel", "session-state", "session-state/s1", "history-session-state"] {
        assert!(CopilotCli.enters(&home.join(inside)), "{inside}");
    }
    for outside in ["pkg", "logs", "session-state/s1/checkpoints"] {
        assert!(!CopilotCli.enters(&home.join(outside)), "{outside}");
    }
    assert!(CopilotCli.wants(&home.join("session-store.db")) && CopilotCli.wants(&home.join("otel/x.jsonl")));
    assert!(
        !CopilotCli.wants(&home.join("config.json"))
            && !CopilotCli.wants(&home.join("session-state/s1/workspace.yaml"))
    );
}

#[test]
fn sums_that_continue_an_earlier_run_count_the_difference() {
    let home = CopilotHome::new();
    let resumed = |answers: &[u64], then: &Value| {
        let mut lines = run().to_vec();
        lines.push(event("10:00:00", "session.resume", &json!({"context": {"cwd": "/w"}})));
        let answer = |output| event("10:01:00", "assistant.message", &json!({"outputTokens": output}));
        lines.extend(answers.iter().map(answer));
        lines.push(event("10:09:00", "session.shutdown", then));
        let document = home.events(&lines);
        assert_eq!(document.skipped, []);
        document.calls.iter().map(|call| call.record.tokens.total().unwrap()).collect::<Vec<_>>()
    };
    let metrics_with_output = |input: u64, output: u64| {
        let mut metrics_with_output = metrics(input);
        metrics_with_output["modelMetrics"]["gpt-5.4"]["usage"]["outputTokens"] = json!(output);
        metrics_with_output
    };
    // The run had no prompt: its sums are the restored ones.
    assert_eq!(resumed(&[], &metrics_with_output(100, 50)), [150]);
    assert_eq!(resumed(&[30], &metrics_with_output(180, 80)), [150, 110]);
    // The sums restarted: one decreased, or they equal the output of the answers.
    assert_eq!(resumed(&[80], &metrics_with_output(90, 80)), [150, 170]);
    assert_eq!(resumed(&[80], &metrics_with_output(180, 80)), [150, 260]);
}

#[test]
fn the_billed_model_is_recorded_and_telemetry_may_be_nested() {
    let home = CopilotHome::new();
    let database = home.store(&ROW.replace("gpt-5.4", "auto"));
    database.execute_batch("ALTER TABLE assistant_usage_events ADD COLUMN copilot_usage_model TEXT").unwrap();
    let model = || CopilotCli.database(Path::new(STORE), &database, None).unwrap().calls.remove(0).record.model;
    assert_eq!(model().as_deref(), Some("auto"));
    database.execute_batch("UPDATE assistant_usage_events SET copilot_usage_model = 'gpt-5.4'").unwrap();
    assert_eq!(model().as_deref(), Some("gpt-5.4"));
    let below = Path::new("/h/.copilot/otel/2026/08");
    assert!(CopilotCli.enters(below) && CopilotCli.wants(&below.join("x.jsonl")));
    assert!(matches!(CopilotCli.format(&below.join("x.jsonl")), LogFormat::Lines(_)));
    // Telemetry in this place covers a run as well.
    let directory = home.0.path().join(TELEMETRY).join("2026");
    fs::create_dir_all(&directory).unwrap();
    drop(database);
    fs::remove_file(home.0.path().join(STORE)).unwrap();
    assert_eq!(home.events(&run()).calls.len(), 1);
    fs::write(directory.join("a.jsonl"), text(&[span(30, "chat gpt-5.4", "chat", "c1")])).unwrap();
    assert_eq!(home.events(&run()).calls.len(), 0);
}
