use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::*;
use crate::model::event::Quality;

struct Task(tempfile::TempDir);

impl Task {
    fn new() -> Self {
        let task = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(task.directory()).unwrap();
        task
    }

    fn directory(&self) -> PathBuf {
        self.0.path().join("tasks/1763900000000")
    }

    fn beside(&self, name: &str, document: &Value) {
        fs::write(self.directory().join(name), document.to_string()).unwrap();
    }

    fn read(&self, family: &Family, messages: &Value, resume: Option<&Value>) -> Document {
        let path = self.directory().join(MESSAGES);
        family.document(&path, messages.to_string().as_bytes(), Zone::UTC, resume).unwrap()
    }
}

fn print_message(ts: i64, say: &str, text: &Value) -> Value {
    json!({"ts": 1_763_900_000_000 + ts, "type": "say", "say": say, "text": text.to_string()})
}

fn asked(ts: i64, input: u64, read: u64) -> Value {
    let text = json!({"request": "a secret", "tokensIn": input, "tokensOut": 7, "cacheWrites": 0, "cacheReads": read, "cost": 0.25});
    print_message(ts, "api_req_started", &text)
}

fn protocol(mut request: Value, name: &str) -> Value {
    let mut text: Value = serde_json::from_str(request["text"].as_str().unwrap()).unwrap();
    text["apiProtocol"] = name.into();
    request["text"] = text.to_string().into();
    request
}

fn counts(document: &Document) -> Vec<[u64; 7]> {
    document.calls.iter().map(|call| call.record.tokens.counts()).collect()
}

#[test]
fn a_request_becomes_a_record_when_it_has_counts() {
    let task = Task::new();
    task.beside(
        "task_metadata.json",
        &json!({"model_usage": [
            {"ts": 1_763_900_000_005_i64, "model_id": "claude-sonnet-4-5", "model_provider_id": "anthropic", "mode": "act"},
            {"ts": 1_763_900_000_020_i64, "model_id": "gpt-5", "model_provider_id": "openai-native", "mode": "act"}]}),
    );
    let mut named = asked(30, 5, 0);
    named["modelInfo"] = json!({"modelId": "qwen3", "providerId": "ollama", "mode": "act"});
    let making = print_message(40, "api_req_started", &json!({"request": "a secret"}));
    let document = task.read(&CLINE, &json!([asked(10, 3, 900), asked(25, 50, 30), named, making]), None);
    assert_eq!(counts(&document), [[3, 900, 0, 0, 0, 7, 0], [50, 30, 0, 0, 0, 7, 0], [5, 0, 0, 0, 0, 7, 0]]);
    let named = |at: usize| (&*document.calls[at].record.provider, document.calls[at].record.model.as_deref().unwrap());
    assert_eq!(
        [named(0), named(1), named(2)],
        [("anthropic", "claude-sonnet-4-5"), ("openai", "gpt-5"), ("ollama", "qwen3")]
    );
    assert!(document.skipped.is_empty());
    let record = &document.calls[0].record;
    assert_eq!(record.keys, ["cline/1763900000000/1763900000010"]);
    assert_eq!(
        (record.cost.unwrap().to_string().as_str(), record.conversation.as_deref()),
        ("0.25", Some("1763900000000"))
    );
    assert!(!record.raw.as_ref().unwrap().get().contains("secret"));
}

#[test]
fn entries_without_counts_are_counted_and_unknown_ones_reported() {
    let task = Task::new();
    let none = print_message(10, "api_req_started", &json!({"request": "x", "tokensIn": 0, "tokensOut": 0, "cost": 0}));
    let failed = print_message(20, "api_req_started", &json!({"request": "x"}));
    let broken = json!({"ts": 1_763_900_000_030_i64, "type": "say", "say": "api_req_started", "text": "a secret"});
    let timeless = json!({"type": "say", "say": "api_req_started", "text": r#"{"tokensIn":1,"tokensOut":1}"#});
    let condensed = json!({"ts": 1, "type": "say", "say": "condense_context", "contextCondense": {"cost": 0.1}});
    let document = task.read(&CLINE, &json!([none, failed, asked(25, 1, 0), broken, timeless, condensed]), None);
    assert_eq!(document.calls.len(), 1);
    assert_eq!(
        document.skipped,
        [
            (4, "unknown shape: a request whose text is no JSON".to_owned()),
            (5, "unknown shape: a request without a time".to_owned()),
            (0, "condensations of a context, which tell no token counts: 1".to_owned()),
            (0, "requests without token counts: 2".to_owned()),
        ]
    );
    let refused = CLINE.document(Path::new("t/ui_messages.json"), b"{}", Zone::UTC, None).unwrap_err().to_string();
    assert!(refused.contains("no list of messages"));
    assert!(
        CLINE
            .document(Path::new("t/ui_messages.json"), b"[{", Zone::UTC, None)
            .unwrap_err()
            .to_string()
            .starts_with("not valid JSON")
    );
}

#[test]
fn the_last_request_is_incomplete_until_another_entry_follows() {
    let made = print_message(10, "api_req_started", &json!({"request": "x"}));
    let words = print_message(11, "text", &json!("a secret"));
    let skipped = |behind: &Value| Task::new().read(&CLINE, &json!([made, words, behind]), None).skipped;
    assert_eq!(skipped(&words), []);
    let asked = json!({"ts": 1_763_900_000_012_i64, "type": "ask", "ask": "resume_task"});
    for behind in [print_message(12, "completion_result", &json!("done")), asked] {
        assert_eq!(skipped(&behind), [(0, "requests without token counts: 1".to_owned())], "{behind}");
    }
}

#[test]
fn the_oldest_logs_have_counts_in_a_separate_message() {
    let started = print_message(10, "api_req_started", &json!({"request": "x"}));
    let finished = print_message(90, "api_req_finished", &json!({"tokensIn": 4, "tokensOut": 2, "cost": 0.1}));
    let document = Task::new().read(&CLINE, &json!([started, finished]), None);
    assert_eq!(document.calls[0].at.millis(), 1_763_900_000_010);
    assert_eq!((counts(&document), document.skipped.len()), (vec![[4, 0, 0, 0, 0, 2, 0]], 0));
}

#[test]
fn the_protocol_of_roo_code_determines_what_input_includes() {
    let of = |requests: &[Value]| Task::new().read(&ROO_CODE, &json!(requests), None);
    let openai = of(&[protocol(asked(10, 100, 60), "openai")]);
    assert_eq!(counts(&openai), [[40, 60, 0, 0, 0, 7, 0]]);
    assert_eq!((openai.calls[0].record.quality, &*openai.calls[0].record.provider), (Quality::Reported, "roo-code"));
    // Older versions exclude the cache from the input, as the second request shows.
    let older = of(&[protocol(asked(10, 100, 60), "anthropic"), protocol(asked(20, 3, 90), "anthropic")]);
    assert_eq!(counts(&older), [[100, 60, 0, 0, 0, 7, 0], [3, 90, 0, 0, 0, 7, 0]]);
    assert_eq!(older.calls[0].record.quality, Quality::Reported);
    let newer = of(&[protocol(asked(10, 100, 60), "anthropic"), protocol(asked(20, 93, 90), "anthropic")]);
    assert_eq!(counts(&newer), [[40, 60, 0, 0, 0, 7, 0], [3, 90, 0, 0, 0, 7, 0]]);
    assert_eq!(newer.calls[0].record.quality, Quality::Derived);
    assert!(newer.calls[0].record.residual.as_ref().unwrap().contains("inside `tokensIn`"));
}

#[test]
fn the_prompt_names_the_model_if_it_is_unambiguous() {
    let environment = |ts: i64, model: &str| {
        let text =
            format!("<environment_details>\n# Current Workspace Directory (/w/acme) Files\n<model>{model}</model>");
        json!({"role": "user", "ts": 1_763_900_000_000 + ts, "content": [{"type": "text", "text": "a <model>lie</model>"},
            {"type": "text", "text": text}]})
    };
    let task = Task::new();
    let models = |document: &Document| {
        document.calls.iter().map(|call| call.record.model.clone().unwrap_or_default()).collect::<Vec<_>>()
    };
    let requests = json!([asked(10, 1, 0), asked(20, 1, 0)]);
    assert_eq!(models(&task.read(&KILO_CODE, &requests, None)), ["", ""]);
    task.beside("api_conversation_history.json", &json!([environment(11, "a/m"), environment(21, "a/m")]));
    let document = task.read(&KILO_CODE, &requests, None);
    assert_eq!(
        (models(&document), document.calls[0].record.project.as_deref()),
        (vec!["a/m".into(), "a/m".to_owned()], Some("/w/acme"))
    );
    task.beside("api_conversation_history.json", &json!([environment(11, "a/m"), environment(21, "b/m")]));
    assert_eq!(models(&task.read(&KILO_CODE, &requests, None)), ["a/m", "b/m"]);
    task.beside(
        "api_conversation_history.json",
        &json!([environment(11, "a/m"), environment(12, "b/m"), environment(31, "c")]),
    );
    assert_eq!(
        models(&task.read(&KILO_CODE, &json!([asked(10, 1, 0), asked(20, 1, 0), asked(30, 1, 0)]), None)),
        ["b/m", "", "c"]
    );
}

#[test]
fn deleted_requests_count_but_those_that_were_imported_count_once() {
    let task = Task::new();
    let deleted = |ts: i64, input: u64, output: u64| {
        print_message(
            ts,
            "deleted_api_reqs",
            &json!({"tokensIn": input, "tokensOut": output, "cacheWrites": 0, "cacheReads": 0, "cost": 1}),
        )
    };
    let first = task.read(&CLINE, &json!([asked(10, 5, 0), asked(20, 6, 0)]), None);
    // The second request was deleted, and so was another one that was made in between.
    let messages = json!([asked(10, 5, 0), deleted(50, 6 + 100, 7 + 30)]);
    let second = task.read(&CLINE, &messages, first.resume.as_ref());
    assert_eq!(counts(&second), [[5, 0, 0, 0, 0, 7, 0], [100, 0, 0, 0, 0, 30, 0]]);
    let record = &second.calls[1].record;
    assert_eq!((record.quality, &*record.labels["role"], record.cost), (Quality::Derived, "deleted", None));
    // It is not reported again, not even as part of a larger sum.
    let third = task.read(&CLINE, &messages, second.resume.as_ref());
    assert_eq!(counts(&third), [[5, 0, 0, 0, 0, 7, 0]]);
    let last = task.read(&CLINE, &json!([deleted(90, 5 + 106, 7 + 37)]), third.resume.as_ref());
    assert!(last.calls.is_empty() && last.skipped.is_empty());
    // Without an earlier import only the sum is available.
    assert_eq!(counts(&task.read(&CLINE, &messages, None)), [[5, 0, 0, 0, 0, 7, 0], [106, 0, 0, 0, 0, 37, 0]]);
    let odd = task.read(&CLINE, &json!([deleted(90, 1, 1)]), third.resume.as_ref());
    assert_eq!(
        odd.skipped,
        [(0, "sums of deleted requests that are less than what was imported of them: 1".to_owned())]
    );
}

#[test]
fn requests_through_claude_code_are_imported_from_its_own_logs() {
    let mut request = asked(10, 5, 0);
    request["modelInfo"] = json!({"modelId": "sonnet", "providerId": "claude-code"});
    let document = Task::new().read(&CLINE, &json!([request]), None);
    assert!(document.calls.is_empty());
    assert!(document.skipped[0].1.starts_with("requests made through Claude Code"));
}

#[test]
fn sessions_of_the_command_are_read_by_their_answers() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("s1.messages.json");
    fs::write(home.path().join("s1.json"), json!({"model": "m", "provider": "openrouter", "cwd": "/w"}).to_string())
        .unwrap();
    let answer = |id: &str, input: u64, read: u64| {
        json!({"id": id, "role": "assistant", "ts": 1_763_900_000_000_i64, "content": "a secret",
            "metrics": {"inputTokens": input, "outputTokens": 4, "cacheReadTokens": read, "cacheWriteTokens": 0, "cost": 0.5}})
    };
    let read = |messages: Value| {
        CLINE.document(&path, json!({"messages": messages}).to_string().as_bytes(), Zone::UTC, None).unwrap()
    };
    let document = read(json!([{"role": "user"}, answer("a", 10, 40), {"role": "assistant", "content": "x"}]));
    assert_eq!(counts(&document), [[10, 40, 0, 0, 0, 4, 0]]);
    let record = &document.calls[0].record;
    assert_eq!(
        (&*record.provider, record.model.as_deref(), record.keys[0].as_str()),
        ("openrouter", Some("m"), "cline/s1/a")
    );
    assert_eq!(document.skipped, [(0, "answers without token counts: 1".to_owned())]);
    assert_eq!(counts(&read(json!([answer("a", 100, 40)]))), [[60, 40, 0, 0, 0, 4, 0]]);
    for role in [json!("model"), json!(null)] {
        let mut renamed = answer("b", 10, 0);
        renamed["role"] = role;
        let document = read(json!([{"role": "user"}, renamed, {"role": "notice"}]));
        assert_eq!(document.skipped, [(2, "unknown shape: token counts of an unknown role".to_owned())]);
    }
    assert!(CLINE.document(&path, b"{}", Zone::UTC, None).unwrap_err().to_string().contains("without a list"));
}

#[test]
fn a_task_is_refused_while_its_metadata_is_incomplete() {
    let task = Task::new();
    fs::write(task.directory().join("task_metadata.json"), r#"{"model_usage": [{"ts""#).unwrap();
    let path = task.directory().join(MESSAGES);
    let messages = json!([asked(10, 1, 0)]).to_string();
    let refused = CLINE.document(&path, messages.as_bytes(), Zone::UTC, None).unwrap_err().to_string();
    assert!(refused.starts_with("`task_metadata.json` beside it cannot be read: not valid JSON"), "{refused}");
}

#[test]
fn only_the_directories_of_tasks_are_entered() {
    assert!(ROO_CODE.enters(Path::new("/s/tasks/1")));
    assert!(!ROO_CODE.enters(Path::new("/s/tasks/1/checkpoints")));
    assert!(CLINE.enters(Path::new("/home/.cline/data/sessions/1")));
    let home = Path::new("/h");
    assert!(
        descriptor::KILO_CODE
            .roots(home)
            .contains(&home.join(".config/Code/User/globalStorage/kilocode.kilo-code/tasks"))
    );
    assert!(KILO_CODE.wants(Path::new("/h/.local/share/kilo/kilo.db")) && !ROO_CODE.wants(Path::new("/x/kilo.db")));
}
