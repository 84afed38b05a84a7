//! Compares real answers with the documented shapes.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::inputs::FormatName;
use super::*;
use crate::api::call;
use crate::api::fault::{Fault, FaultKind};
use crate::api::input::{CheckpointInput, ConsistencyInput, EventsInput, GateInput, InclusionInput};
use crate::api::service::{LedgerOperations, OperationReply, ServiceClock, parse};
use crate::event::{Imported, LimitSet, NewEvent, Paused, SkippedLine, StatementBucket, StatementReceived, WindowKind};
use crate::merkle::Signer;
use crate::model::time::{HOUR, MINUTE, Timestamp, Zone};
use crate::{Ledger, TokenRecord};

/// Parses an answer with the documented shape. Unknown and missing fields are errors.
fn conforms<T: DeserializeOwned>(reply: Result<OperationReply, Fault>) -> Value {
    let body = reply.unwrap().body;
    if let Err(error) = serde_json::from_str::<T>(&body) {
        panic!("the document does not describe {body}: {error}");
    }
    serde_json::from_str(&body).unwrap()
}

fn service() -> (LedgerOperations, Timestamp) {
    let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
    let ledger = Ledger::in_memory().unwrap();
    ledger.set_limit(LimitSet::new("anthropic").unwrap().session(1_000).weekly(9_000), now).unwrap();
    for minute in [0, 5, 10, 15, 20] {
        let call = TokenRecord::new("anthropic", "claude-opus-4-5").input(40).project("acme").label("outcome", "empty");
        ledger.record(call, now.plus(minute * MINUTE)).unwrap();
    }
    ledger.override_usage("anthropic", WindowKind::Session, "12.5".parse().unwrap(), "me", "", now).unwrap();
    ledger.switch_provider("ollama", "rate limited", now).unwrap();
    let pause = Paused { reason: "manual".to_owned(), until: Some(now.plus(HOUR)), note: Some("lunch".to_owned()) };
    ledger.pause(pause, now).unwrap();
    // Record an event in the future.
    ledger.record(TokenRecord::new("openai", "gpt-5").input(3), now.plus(HOUR)).unwrap();
    let now = now.plus(20 * MINUTE);
    let clock = ServiceClock { named: None, now: Box::new(move || now) };
    let signer = Signer::generate("usage-ledger.example/alice").unwrap();
    (LedgerOperations::new(ledger, clock, Zone::UTC, Some(signer)), now)
}

#[test]
fn answers_have_the_shapes_of_the_document() {
    let (service, _) = service();
    let status = conforms::<StatusAnswer>(service.status(&parse(b"{}").unwrap()));
    assert_eq!(status["providers"].as_array().unwrap().len(), 3);
    assert!(!status["recorded_ahead"].is_null() && !status["paused"].is_null());
    assert_eq!(status["occurred_ahead"]["events"], 1);
    let gate = GateInput { provider: Some("anthropic".to_owned()), ..GateInput::default() };
    assert_eq!(conforms::<GateAnswer>(service.gate(&gate))["gated"], true); // paused
    #[cfg(feature = "mcp")]
    {
        let explained = conforms::<ExplainAnswer>(service.explain(&gate));
        assert_eq!(explained["events"].as_array().unwrap().len(), explained["evidence"].as_array().unwrap().len());
        let forecast = conforms::<ForecastAnswer>(service.forecast(&parse(br#"{"provider":"anthropic"}"#).unwrap()));
        assert_eq!(forecast["providers"].as_array().unwrap().len(), 1);
        assert!(!forecast["providers"][0]["runs_out_at"].is_null(), "{forecast}");
    }
    let report = parse(br#"{"by":["day,model"],"outcomes":true}"#).unwrap();
    let report = conforms::<ReportAnswer>(service.report(&report));
    assert_eq!((&report["schema"], &report["outcomes"]["empty"]), (&json!(1), &json!(5)));
    let events = conforms::<EventsAnswer>(service.events(&EventsInput::default()));
    assert_eq!(events["events"].as_array().unwrap().len(), 10);
    conforms::<InclusionAnswer>(service.inclusion(&InclusionInput { event: "3".to_owned(), size: Some(5) }));
    conforms::<ConsistencyAnswer>(service.consistency(&ConsistencyInput { old: 2, new: None }));
    conforms::<CheckpointAnswer>(service.checkpoint(&CheckpointInput::default()));
}

#[test]
fn views_have_the_shapes_of_the_document() {
    let (service, now) = service();
    let run = Imported {
        skipped: vec![SkippedLine { file: "/a.jsonl".to_owned(), line: 3, why: "not JSON".to_owned() }],
        ..Imported::new("claude-code")
    };
    service.write(|ledger, _| Ok(ledger.append([NewEvent::new(run, now)], now)?)).unwrap();
    let overview = conforms::<OverviewAnswer>(service.overview(&parse(b"{}").unwrap()));
    assert_eq!((&overview["periods"]["today"]["requests"], &overview["zone"]), (&json!(6), &json!("UTC")));
    let log = conforms::<EventSummariesAnswer>(service.log(&parse(br#"{"limit":2}"#).unwrap()));
    assert_eq!((&log["events"][0]["kind"], &log["next"]), (&json!("imported"), &json!(10)));
    let older = parse(json!({"before": log["next"], "kind": ["limit_set"]}).to_string().as_bytes()).unwrap();
    let older = conforms::<EventSummariesAnswer>(service.log(&older));
    assert_eq!((&older["events"][0]["position"], &older["next"]), (&json!(1), &Value::Null));
    conforms::<EventSummariesAnswer>(service.summaries(&parse(br#"{"position":[1,7]}"#).unwrap()));
    let shown = conforms::<ShowAnswer>(service.show(&parse(br#"{"event":"2"}"#).unwrap()));
    let line = conforms::<LineAnswer>(service.line(&parse(br#"{"event":"2"}"#).unwrap()));
    assert_eq!(
        crate::merkle::Hash::of_line(line["text"].as_str().unwrap()).to_string(),
        shown["leaf"].as_str().unwrap()
    );
    for (input, shape) in [
        (json!({"by": ["day", "provider"]}), "stacked"),
        (json!({"by": ["project,model"], "unit": "tokens"}), "matrix"),
        (json!({"by": ["model"], "unit": "cost"}), "bars"),
        (json!({"by": ["window"], "provider": ["anthropic"], "days": 1}), "windows"),
        (json!({"by": ["day"], "until": "2020-01-01"}), "empty"),
    ] {
        let figure = service.figure(&parse(input.to_string().as_bytes()).unwrap());
        assert_eq!(conforms::<FigureAnswer>(figure)["shape"], shape, "{input}");
    }
    let day = ("2026-11-23T00:00:00Z".parse().unwrap(), "2026-11-24T00:00:00Z".parse().unwrap());
    let mut statement = StatementReceived::new("anthropic", "ab".repeat(32), "an export", day);
    statement.buckets.push(StatementBucket::new(day).name("model", "claude-opus-4-5").tokens("input", 200));
    service.write(|ledger, _| Ok(ledger.receive_statements(vec![statement.clone()], now)?)).unwrap();
    let bill = conforms::<BillAnswer>(service.bill(&parse(b"{}").unwrap()));
    assert_eq!((&bill["days"][0]["day"], &bill["statements_total"]), (&json!("2026-11-23"), &json!(1)));
    assert!(service.bill(&parse(br#"{"days":801}"#).unwrap()).is_err());
    assert!(service.bill(&parse(br#"{"since":"2024-09-15"}"#).unwrap()).is_ok());
    // An answer that left out days would look complete.
    assert!(service.bill(&parse(br#"{"since":"2024-09-14"}"#).unwrap()).is_err());
    let overview = conforms::<OverviewAnswer>(service.overview(&parse(b"{}").unwrap()));
    assert_eq!(overview["confirmed"][0]["percent"], 100);
    let gate = GateInput { provider: Some("anthropic".to_owned()), ..GateInput::default() };
    assert_eq!(conforms::<GateAnswer>(service.gate(&gate))["confirmed"], overview["confirmed"][0]);
    let imports = conforms::<ImportsAnswer>(service.imports(&parse(b"{}").unwrap()));
    assert_eq!(imports["runs"][0]["reasons"][0]["why"], "not JSON");
    let warnings = conforms::<WarningsAnswer>(service.warnings(&parse(b"{}").unwrap()));
    assert!(!warnings["findings"].as_array().unwrap().is_empty() && warnings["changed_logs"].is_null());
    let about = conforms::<AboutAnswer>(service.about(&parse(b"{}").unwrap()));
    assert!(about["verifier"].as_str().unwrap().starts_with("usage-ledger.example/alice+"));
}

#[cfg(feature = "web")]
#[test]
fn answers_over_all_machines_have_the_shapes_of_the_document() {
    use std::sync::Arc;

    use crate::api::fleet::FleetOperations;
    use crate::sync::fleet::{FleetServer, MachineChange, StreamPlace};

    let (service, now) = service();
    let directory = tempfile::tempdir().unwrap();
    let own = service.write(|ledger, _| Ok(ledger.clone())).unwrap();
    let server = FleetServer::new(directory.path(), StreamPlace::Files(directory.path().join("ledgers"))).with_own(own);
    let enrol = MachineChange::Enrol { name: "laptop", person: Some("ann"), team: None, renew: false, now };
    server.change_machine(&enrol, None).unwrap();
    let fleet = FleetOperations::new(Arc::new(server), Zone::UTC);
    let reply = |body: Result<String, Fault>| body.map(|body| OperationReply { body, varying: None });
    let report = conforms::<ReportAnswer>(reply(fleet.report(&parse(br#"{"by":["person"]}"#).unwrap(), now)));
    assert_eq!((&report["total"]["requests"], &report["heads"]["server"]), (&json!(6), &json!(10)));
    let status = conforms::<StatusAnswer>(reply(fleet.status(&parse(b"{}").unwrap(), now)));
    assert_eq!(status["heads"], report["heads"]);
    let gate = GateInput { provider: Some("anthropic".to_owned()), ..GateInput::default() };
    assert_eq!(conforms::<GateAnswer>(reply(fleet.gate(&gate, now)))["heads"], report["heads"]);
    let later = now.plus(8 * 24 * HOUR);
    let machines = conforms::<FleetMachinesAnswer>(reply(fleet.machines(&parse(b"{}").unwrap(), later)));
    assert_eq!((&machines["server"]["merged"], &machines["machines"][0]["person"]), (&json!(10), &json!("ann")));
    assert_eq!(machines["warnings"][0]["what"], "it has pushed nothing yet");
    assert!(fleet.machines(&parse(br#"{"limit":0}"#).unwrap(), now).is_err());
}

/// A line with a name of 100,000 bytes is returned in parts that no answer exceeds.
#[test]
fn a_long_line_comes_in_parts() {
    let (service, now) = service();
    let skipped = SkippedLine { file: "\"é".repeat(40_000), line: 3, why: "not JSON".to_owned() };
    let run = Imported { skipped: vec![skipped], ..Imported::new("claude-code") };
    service.write(|ledger, _| Ok(ledger.append([NewEvent::new(run, now)], now)?)).unwrap();
    let (mut text, mut from, mut parts) = (String::new(), json!(0), 0);
    while !from.is_null() {
        let input = parse(json!({"event": "11", "from": from}).to_string().as_bytes()).unwrap();
        let reply = service.line(&input).unwrap();
        assert!(reply.body.len() < 100_000, "{}", reply.body.len());
        let part: Value = serde_json::from_str(&reply.body).unwrap();
        text += part["text"].as_str().unwrap();
        from = part["next"].clone();
        parts += 1;
    }
    assert!(parts > 2 && text.starts_with("{\"v\":1,") && text.ends_with('}'));
    let shown = service.show(&parse(br#"{"event":"11"}"#).unwrap()).unwrap().body;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert!(shown["event"].is_null());
    assert_eq!(crate::merkle::Hash::of_line(&text).to_string(), shown["leaf"].as_str().unwrap());
    assert!(service.line(&parse(br#"{"event":"11","from":99999999}"#).unwrap()).is_err());
}

#[test]
fn receipts_have_the_shapes_of_the_document() {
    let (service, _) = service();
    let receipt = conforms::<ReceiptAnswer>(service.record(br#"{"provider":"antropic","input":99999999999}"#));
    assert_eq!(receipt["warnings"].as_array().unwrap().len(), 2);
    let lines =
        b"{\"provider\":\"openai\",\"input\":1,\"key\":\"a\"}\n\n{\"provider\":\"openai\",\"input\":1,\"key\":\"a\"}\n";
    let tally = conforms::<TallyAnswer>(service.batch(lines, true));
    assert_eq!((&tally["recorded"], &tally["duplicates"]), (&json!(1), &json!(1)));
    conforms::<ReceiptAnswer>(service.switch(&parse(br#"{"provider":"openai","key":"s"}"#).unwrap()));
    let wanted = parse(br#"{"provider":"ollama","tokens":5,"for":"5m","key":"r"}"#).unwrap();
    let reserved = conforms::<ReservationAnswer>(service.reserve(&wanted));
    assert_eq!(conforms::<ReservationAnswer>(service.reserve(&wanted)), reserved);
    let settle = json!({"reservation": reserved["id"], "model": "qwen3", "input": 4, "source": "my-agent"}).to_string();
    let settled = conforms::<ReceiptAnswer>(service.settle(settle.as_bytes()));
    assert_eq!(conforms::<ReceiptAnswer>(service.settle(settle.as_bytes()))["positions"], settled["positions"]);
    let other = conforms::<ReservationAnswer>(service.reserve(&parse(br#"{"provider":"ollama","tokens":5}"#).unwrap()));
    let release = parse(json!({"reservation": other["id"]}).to_string().as_bytes()).unwrap();
    let released = conforms::<ReceiptAnswer>(service.release(&release));
    let again = conforms::<ReceiptAnswer>(service.release(&release));
    assert_eq!((&again["duplicates"], &again["positions"]), (&json!(1), &released["positions"]));
    let scan = |text: &str, key: &str| {
        let input = json!({"provider": "openai", "text": text, "stream": "stderr", "model": "gpt-5", "key": key});
        conforms::<ScanOutputAnswer>(service.scan(&parse(input.to_string().as_bytes()).unwrap()))
    };
    let refused = scan("HTTP 429 Too Many Requests\nRetry-After: 60", "req_1");
    assert_eq!((&refused["exhausted"], &refused["rule"]), (&json!(true), &json!("codex-http-429")));
    assert_eq!(refused["resets_at"], "2026-11-23T20:21:00.000Z");
    assert_eq!(scan("HTTP 429 Too Many Requests\nRetry-After: 60", "req_1"), refused);
    assert_ne!(scan("HTTP 429 Too Many Requests\nRetry-After: 60", "req_2")["position"], refused["position"]);
    let fine = scan("HTTP 400 Bad Request", "req_3");
    assert_eq!((&fine["exhausted"], &fine["position"]), (&json!(false), &Value::Null));
}

#[test]
fn a_batch_is_accepted_completely_or_not_at_all() {
    let (service, _) = service();
    let head = service.head().unwrap();
    for (body, record, kind) in [
        (
            r#"{"records":[{"provider":"openai","input":1},{"provider":"openai","inputs":1}]}"#,
            2,
            FaultKind::InvalidInput,
        ),
        (
            r#"{"records":[{"provider":"openai","input":1,"key":"k"},{"provider":"openai","input":2,"key":"k"}]}"#,
            2,
            FaultKind::InvalidInput,
        ),
    ] {
        let fault = service.batch(body.as_bytes(), false).unwrap_err();
        assert_eq!((fault.record, fault.kind), (Some(record), kind), "{body}");
        assert_eq!(service.head().unwrap(), head);
    }
}

#[test]
fn a_response_completes_a_record() {
    let (service, _) = service();
    let body = json!({
        "format": "openai-chat", "project": "acme",
        "response": {"id": "chatcmpl-1", "model": "gpt-5", "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}},
    });
    conforms::<ReceiptAnswer>(service.record(body.to_string().as_bytes()));
    let events: EventsInput = parse(br#"{"kind":["tokens_recorded"],"after":10}"#).unwrap();
    let events = conforms::<EventsAnswer>(service.events(&events));
    assert_eq!(events["events"][0]["event"]["data"]["keys"], json!(["chatcmpl-1"]));
    assert_eq!(events["events"][0]["event"]["data"]["project"], "acme");
}

#[test]
fn every_format_is_named() {
    for format in call::formats() {
        assert!(serde_json::from_value::<FormatName>(json!(format)).is_ok(), "{format}");
    }
}
