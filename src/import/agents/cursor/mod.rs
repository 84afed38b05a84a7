//! Cursor: `User/globalStorage/state.vscdb`, which contains token counts.
//!
//! Supported: the table `cursorDiskKV`. Each key `bubbleId:<conversation>:<message>` has a message with `tokenCount`
//! (`inputTokens`, `outputTokens`), `modelInfo.modelName`, and `createdAt` or, in older ones, `timingInfo`. The last
//! message of an answer has the counts of the whole answer; newer versions store zeros. The first versions stored the
//! messages in `composerData:<conversation>`, whose `createdAt` is the time of messages without one. A zero means that
//! Cursor did not store the count, so it is absent; conversations without any count are counted. The input has no
//! information about a cache. The model `default` is the one that Cursor chose. Costs and context sizes in
//! `composerData` belong to no call and are ignored. Other tables contain credentials and are not read.
//!
//! A row that is written again gets a new row number, so only rows after the last number are read.
//!
//! Skipped with a reason: a database without that table, a message that is no JSON. Messages with counts but without a
//! time are counted.

mod descriptor;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::Connection;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::import::engine::document::Document;
use crate::import::engine::fields;
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::query::{self, LONGEST_VALUE, Refusal, RowAction};
use crate::import::engine::resume;
use crate::import::engine::source::{DatabaseLog, LogFormat, Source};
use crate::import::health::missing_usage::WITHOUT_COUNTS;
use crate::model::event::Quality;
use crate::model::time::Timestamp;
use crate::readers::normalise::logged::Logged;

pub(in crate::import) use descriptor::DESCRIPTOR;

/// The importer of Cursor's conversations.
pub(crate) struct Cursor;

const AGENT: &str = "cursor";

/// The version of this importer. Raise it when the same logs yield other records: older ledgers then import them again.
const VERSION: u32 = 2;

impl Source for Cursor {
    fn version(&self) -> u32 {
        VERSION
    }

    fn enters(&self, _directory: &Path) -> bool {
        false
    }

    fn wants(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| name == "state.vscdb")
    }

    fn format(&self, _path: &Path) -> LogFormat<'_> {
        LogFormat::Database(self)
    }
}

impl DatabaseLog for Cursor {
    fn database(&self, _path: &Path, database: &Connection, resume: Option<&Value>) -> Result<Document, Refusal> {
        let have = fields::columns(database, "cursorDiskKV")?;
        fields::choose(&have, "cursorDiskKV", &["key", "value"], &[])?;
        let (newest, last) = query::new_rows(database, "cursorDiskKV", resume::member(resume, "last")?.unwrap_or(0))?;
        let mut reading = CursorReading { last, ..CursorReading::default() };
        reading.document.cut = reading.rows(database).err();
        let reached = if reading.document.cut.is_none() { newest } else { reading.last };
        Ok(reading.done(reached))
    }
}

/// The relevant fields of a message.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bubble {
    /// 1 is the user, 2 the model.
    #[serde(default, rename = "type")]
    kind: Value,
    #[serde(default)]
    token_count: Value,
    #[serde(default)]
    model_info: Value,
    #[serde(default)]
    created_at: Value,
    #[serde(default)]
    timing_info: Value,
    /// Present in a step of an answer that used a tool.
    #[serde(default)]
    tool_former_data: Option<serde::de::IgnoredAny>,
}

impl Bubble {
    fn at(&self) -> Option<Timestamp> {
        let timing = ["clientRpcSendTime", "clientStartTime", "clientSettleTime", "clientEndTime"];
        fields::time(Some(&self.created_at))
            .or_else(|| timing.iter().find_map(|name| fields::time(self.timing_info.get(*name))))
    }
}

/// The relevant fields of a conversation.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Composer {
    created_at: Value,
    /// Its messages, in versions without rows for them.
    conversation: Value,
}

/// Calls in the new rows.
#[derive(Default)]
struct CursorReading {
    /// Number of the last row that was read.
    last: i64,
    document: Document,
    timeless: u64,
    /// Answers without counts, by conversation.
    uncounted: BTreeMap<String, u64>,
    counted: BTreeSet<String>,
}

impl CursorReading {
    fn rows(&mut self, database: &Connection) -> Result<(), Refusal> {
        // The plus signs keep SQLite from using the index of keys, which would fetch every row for its number.
        let sql = format!(
            "SELECT rowid AS number, key, CASE WHEN octet_length(value) <= {LONGEST_VALUE} THEN value END AS value, \
             octet_length(value) AS length FROM cursorDiskKV WHERE rowid > ?1 AND octet_length(key) <= {LONGEST_VALUE} \
             AND (+key >= 'bubbleId:' AND +key < 'bubbleId;' OR +key >= 'composerData:' AND +key < 'composerData;') \
             ORDER BY rowid"
        );
        query::rows(database, &sql, [self.last], &mut |row| {
            let row = fields::object(row)?;
            let number = row.get("number").and_then(Value::as_u64).unwrap_or(0);
            match self.row(database, &row) {
                Err(refusal) if refusal.is_unreadable() => return Ok(RowAction::End(refusal)),
                Err(refusal) => self.document.skipped.push((number, refusal.to_string())),
                Ok(()) => {}
            }
            self.last = i64::try_from(number).unwrap_or(self.last);
            Ok(RowAction::Row)
        })
    }

    fn row(&mut self, database: &Connection, row: &Value) -> Result<(), Refusal> {
        let key = row.get("key").and_then(Value::as_str).unwrap_or_default();
        let Some(value) = row.get("value").and_then(Value::as_str) else {
            let why = query::too_long("a value", row.get("length").and_then(Value::as_i64));
            return why.map_or(Ok(()), |why| Err(why.into()));
        };
        if let Some(conversation) = key.strip_prefix("composerData:") {
            return Ok(self.composer(conversation, value)?);
        }
        let (conversation, message) = key
            .strip_prefix("bubbleId:")
            .and_then(|key| key.rsplit_once(':'))
            .ok_or("unknown shape: a message without a name")?;
        let bubble: Bubble =
            serde_json::from_str(value).map_err(|error| crate::import::engine::jsonl::refusal(&error))?;
        let mut unreadable = None;
        let took = self.bubble(conversation, message, &bubble, &mut || {
            began(database, conversation).unwrap_or_else(|refusal| {
                unreadable = Some(refusal);
                None
            })
        });
        unreadable.map_or(Ok(took?), Err)
    }

    /// Reads messages that are stored in a conversation.
    fn composer(&mut self, conversation: &str, value: &str) -> Result<(), String> {
        let composer: Composer =
            serde_json::from_str(value).map_err(|error| crate::import::engine::jsonl::refusal(&error))?;
        let Value::Array(messages) = composer.conversation else { return Ok(()) };
        let began = fields::time(Some(&composer.created_at));
        let mut first = Ok(());
        for (at, message) in messages.into_iter().enumerate() {
            let id = fields::text(&message, "bubbleId").map_or_else(|| at.to_string(), str::to_owned);
            let read = Bubble::deserialize(message)
                .map_err(|error| crate::import::engine::jsonl::refusal(&error))
                .and_then(|bubble| self.bubble(conversation, &id, &bubble, &mut || began));
            first = first.and(read);
        }
        first
    }

    /// Reads a message. One without a time is dated at the start of its conversation.
    fn bubble(
        &mut self,
        conversation: &str,
        message: &str,
        bubble: &Bubble,
        began: &mut dyn FnMut() -> Option<Timestamp>,
    ) -> Result<(), String> {
        // A zero stands for an unknown count.
        let known = |name| fields::count(&bubble.token_count, name).map(|count| count.filter(|count| *count > 0));
        let input = ("tokenCount.inputTokens", known("inputTokens")?);
        let logged = Logged::new(AGENT, "cursor/1", input, ("tokenCount.outputTokens", known("outputTokens")?));
        if logged.is_nothing() {
            if bubble.kind.as_i64() == Some(2) && bubble.tool_former_data.is_none() {
                *self.uncounted.entry(conversation.to_owned()).or_default() += 1;
            }
            return Ok(());
        }
        self.counted.insert(conversation.to_owned());
        let own = bubble.at();
        let Some(at) = own.or_else(began) else {
            self.timeless += 1;
            return Ok(());
        };
        let mut call = made(conversation, message, bubble, at, logged)?;
        if own.is_none() {
            call.record.quality = Quality::Derived;
            call.record.residual = Some("the time is when the conversation began".to_owned());
        }
        self.document.calls.push(call);
        Ok(())
    }

    fn done(mut self, last: i64) -> Document {
        let without: Vec<_> = self
            .uncounted
            .iter()
            .filter(|(conversation, _)| !self.counted.contains(*conversation))
            .map(|(_, n)| n)
            .collect();
        if !without.is_empty() {
            let (answers, conversations) = (without.iter().copied().sum::<u64>(), without.len());
            let why =
                format!("{WITHOUT_COUNTS}, which Cursor did not keep: {answers}, in conversations: {conversations}");
            self.document.skipped.push((0, why));
        }
        if self.timeless > 0 {
            self.document.skipped.push((0, format!("answers with token counts but without a time: {}", self.timeless)));
        }
        self.document.resume = Some(json!({ "last": last }));
        self.document
    }
}

/// Returns when a conversation began.
fn began(database: &Connection, conversation: &str) -> Result<Option<Timestamp>, Refusal> {
    let key = format!("composerData:{conversation}");
    let mut began = None;
    // A malformed row is reported where it is read itself.
    let sql = format!(
        "SELECT {} AS value FROM cursorDiskKV WHERE octet_length(key) <= {LONGEST_VALUE} AND key = ?1",
        query::bounded("value")
    );
    fields::visit(database, &sql, [key], &mut |row| {
        let value = row.get("value").and_then(Value::as_str).unwrap_or_default();
        began = serde_json::from_str::<Composer>(value).ok().and_then(|it| fields::time(Some(&it.created_at)));
    })?;
    Ok(began)
}

fn made(
    conversation: &str,
    message: &str,
    bubble: &Bubble,
    at: Timestamp,
    logged: Logged,
) -> Result<ParsedCall, String> {
    let mut record = fields::record(AGENT, AGENT, logged)?;
    record = record.conversation(conversation).key(format!("cursor/{conversation}/{message}"));
    record.model = fields::text(&bubble.model_info, "modelName").filter(|name| *name != "default").map(str::to_owned);
    record.raw = fields::raw_of(&bubble.token_count, &["inputTokens", "outputTokens"]);
    fields::checked(at, record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(bubbles: &[(&str, Value)]) -> Connection {
        let database = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE cursorDiskKV (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB);
            CREATE TABLE ItemTable (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB);";
        database.execute_batch(tables).unwrap();
        for (key, bubble) in bubbles {
            put(&database, key, &bubble.to_string());
        }
        database
    }

    fn put(database: &Connection, key: &str, value: &str) {
        database.execute("INSERT INTO cursorDiskKV VALUES (?1, ?2)", (key, value.as_bytes())).unwrap();
    }

    fn read(database: &Connection, resume: Option<&Value>) -> Document {
        Cursor.database(Path::new("state.vscdb"), database, resume).unwrap()
    }

    fn bubble(kind: u8, input: u64, output: u64) -> Value {
        json!({"type": kind, "text": "a secret", "createdAt": "2026-06-12T10:00:00.000Z", "modelInfo": {"modelName": "gpt-5"},
            "tokenCount": {"inputTokens": input, "outputTokens": output}})
    }

    #[test]
    fn counts_are_taken_and_zeros_are_unknown() {
        let mut auto = bubble(2, 0, 70);
        auto["modelInfo"]["modelName"] = "default".into();
        let mut old = bubble(2, 5, 6);
        old["createdAt"] = Value::Null;
        let mut older = old.clone();
        older["timingInfo"] = json!({"clientStartTime": 1_750_000_000_000_i64});
        let database = database(&[
            ("bubbleId:c1:b1", bubble(1, 0, 0)),
            ("bubbleId:c1:b2", bubble(2, 0, 0)),
            ("bubbleId:c1:b3", bubble(2, 900, 40)),
            ("bubbleId:c2:b1", auto),
            ("bubbleId:c2:b2", old),
            ("bubbleId:c2:b3", older),
            ("bubbleId:c3:b1", bubble(2, 0, 0)),
            (
                "bubbleId:c3:b2",
                json!({"type": 2, "tokenCount": {"inputTokens": 0, "outputTokens": 0}, "toolFormerData": {}}),
            ),
            ("bubbleId:c4:b1", json!({"type": 2})),
            ("composerData:c1", json!({"usageData": {"default": {"costInCents": 4, "amount": 1}}})),
        ]);
        let document = read(&database, None);
        let records: Vec<_> = document.calls.iter().map(|call| &call.record).collect();
        assert_eq!(records.len(), 3);
        assert_eq!(
            (records[0].tokens.input, records[0].tokens.output, records[0].model.as_deref()),
            (Some(900), Some(40), Some("gpt-5"))
        );
        assert_eq!(
            (records[1].tokens.input, records[1].tokens.output, records[1].model.as_deref()),
            (None, Some(70), None)
        );
        assert_eq!(records[0].keys, ["cursor/c1/b3"]);
        assert_eq!(document.calls[2].at.millis(), 1_750_000_000_000);
        assert_eq!(
            document.skipped,
            [
                (0, "answers without token counts, which Cursor did not keep: 2, in conversations: 2".to_owned()),
                (0, "answers with token counts but without a time: 1".to_owned())
            ]
        );
    }

    #[test]
    fn a_conversation_may_contain_its_messages_with_their_times() {
        let mut message = bubble(2, 7, 3);
        message["createdAt"] = Value::Null;
        let mut inner = message.clone();
        inner["bubbleId"] = "b9".into();
        let database = database(&[
            ("bubbleId:c1:b1", message),
            ("composerData:c1", json!({"createdAt": 1_750_000_000_000_i64, "conversation": []})),
            ("composerData:c2", json!({"createdAt": 1_750_000_009_000_i64, "conversation": [bubble(1, 0, 0), inner]})),
        ]);
        let document = read(&database, None);
        let calls: Vec<_> = document.calls.iter().map(|f| (f.at.millis(), f.record.keys[0].as_str())).collect();
        assert_eq!(calls, [(1_750_000_000_000, "cursor/c1/b1"), (1_750_000_009_000, "cursor/c2/b9")]);
        assert!(document.calls.iter().all(|call| call.record.quality == Quality::Derived));
        assert_eq!(document.skipped, []);
    }

    #[test]
    fn only_appended_content_is_read() {
        let database = database(&[("bubbleId:c1:b1", bubble(2, 0, 0)), ("bubbleId:c1:b2", bubble(2, 10, 1))]);
        let first = read(&database, None);
        assert_eq!(first.calls.len(), 1);
        put(&database, "bubbleId:c1:b1", &bubble(2, 20, 2).to_string());
        let second = read(&database, first.resume.as_ref());
        assert_eq!(second.calls.iter().map(|call| call.record.tokens.input).collect::<Vec<_>>(), [Some(20)]);
        assert!(read(&database, second.resume.as_ref()).calls.is_empty());
        assert_eq!(read(&database, Some(&json!({"last": 99}))).calls.len(), 2);
    }

    #[test]
    fn unknown_content_is_reported() {
        let database = database(&[("bubbleId:c1:b1", json!({"type": 2, "tokenCount": {"inputTokens": "many"}}))]);
        put(&database, "bubbleId:c1:b2", "{\"text\":\"a sec");
        let skipped = read(&database, None).skipped;
        assert_eq!(skipped[0], (1, "unknown shape: `inputTokens` is no whole number from 0".to_owned()));
        assert!(skipped[1].1.starts_with("not valid JSON"));
        let empty = Connection::open_in_memory().unwrap();
        assert!(
            Cursor
                .database(Path::new("state.vscdb"), &empty, None)
                .unwrap_err()
                .to_string()
                .contains("no column `key`")
        );
    }
}
