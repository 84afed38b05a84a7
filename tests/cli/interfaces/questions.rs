//! Twenty questions, in the form of each interface.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use usage_ledger::budget::RunRequest;
use usage_ledger::merkle::Hash;
use usage_ledger::{Report, ReportKey, Result, Snapshot, Timestamp};

/// The answer of the library.
pub(super) type Library = Box<dyn Fn(&Snapshot<'_>, Timestamp) -> Result<Value>>;
/// Makes an answer of the rows of a query or of the text of an export.
pub(super) type FromRows = Box<dyn Fn(&[Value]) -> Value>;
pub(super) type FromText = Box<dyn Fn(&str) -> Value>;

/// A question.
pub(super) struct Question {
    pub text: String,
    /// Operation and parameters of HTTP, rpc and MCP.
    pub operation: &'static str,
    pub params: Value,
    /// Arguments of the command.
    pub args: Vec<String>,
    pub library: Library,
    /// The part of the full answers that is compared.
    pub view: fn(&Value) -> Value,
    /// A query, and how its rows answer the question.
    pub sql: Option<(String, FromRows)>,
    /// An export, and how its text answers the question.
    pub export: Option<(&'static str, FromText)>,
}

/// The value of a key in a line of the CSV export.
type KeyOfCall = fn(&BTreeMap<String, String>) -> Option<String>;
/// A key of a report, its expression over the columns of `calls`, and its value in an exported call.
type KeyForm = (ReportKey, &'static str, KeyOfCall);

fn column(call: &BTreeMap<String, String>, name: &str) -> Option<String> {
    Some(call[name].clone()).filter(|text| !text.is_empty())
}

fn team(call: &BTreeMap<String, String>) -> Option<String> {
    let labels: Value = serde_json::from_str(&column(call, "labels")?).unwrap();
    labels["team"].as_str().map(str::to_owned)
}

fn start(call: &BTreeMap<String, String>, length: usize) -> Option<String> {
    Some(call["occurred_at"][..length].to_owned())
}

fn key_forms() -> Vec<KeyForm> {
    vec![
        (ReportKey::Provider, "provider", |call| column(call, "provider")),
        (ReportKey::Model, "model", |call| column(call, "model")),
        (ReportKey::Account, "account", |call| column(call, "account")),
        (ReportKey::Agent, "agent", |call| column(call, "agent")),
        (ReportKey::Project, "project", |call| column(call, "project")),
        (ReportKey::Conversation, "conversation", |call| column(call, "conversation")),
        (ReportKey::Label("team".to_owned()), "labels ->> 'team'", team),
        (ReportKey::Team, "labels ->> 'team'", team),
        (ReportKey::Day, "substr(occurred_at, 1, 10)", |call| start(call, 10)),
        (ReportKey::Hour, "substr(occurred_at, 1, 13)", |call| start(call, 13)),
        (ReportKey::Month, "substr(occurred_at, 1, 7)", |call| start(call, 7)),
    ]
}

/// A filter of a report.
#[derive(Clone, Copy, Default)]
struct Filter {
    provider: Option<&'static str>,
    project: Option<&'static str>,
    since: Option<&'static str>,
    until: Option<&'static str>,
}

impl Filter {
    fn admits(self, call: &BTreeMap<String, String>) -> bool {
        self.provider.is_none_or(|provider| call["provider"] == provider)
            && self.project.is_none_or(|project| call["project"] == project)
            && self.since.is_none_or(|since| &*call["occurred_at"] >= since)
            && self.until.is_none_or(|until| &*call["occurred_at"] < until)
    }

    fn sql(self) -> String {
        let tests = [
            self.provider.map(|name| format!("provider = '{name}'")),
            self.project.map(|name| format!("project = '{name}'")),
            self.since.map(|at| format!("occurred_at >= '{at}'")),
            self.until.map(|at| format!("occurred_at < '{at}'")),
        ];
        tests.into_iter().flatten().fold("1".to_owned(), |all, test| format!("{all} and {test}"))
    }

    fn given(self) -> Vec<(&'static str, &'static str)> {
        let named =
            [("provider", self.provider), ("project", self.project), ("since", self.since), ("until", self.until)];
        named.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn apply(self, mut report: Report) -> Result<Report> {
        for (key, value) in [(ReportKey::Provider, self.provider), (ReportKey::Project, self.project)] {
            if let Some(value) = value {
                report = report.only(key, value)?;
            }
        }
        if let Some(since) = self.since {
            report = report.since(since.parse::<Timestamp>()?);
        }
        if let Some(until) = self.until {
            report = report.until(until.parse::<Timestamp>()?);
        }
        Ok(report)
    }
}

/// Rows and total of a report.
fn sums(answer: &Value) -> Value {
    json!({"head": answer["head"], "rows": answer["rows"], "total": answer["total"]})
}

/// The sums that an answer over calls contains.
#[derive(Clone, Default)]
struct Sums {
    requests: u64,
    tokens: BTreeMap<&'static str, u64>,
    usd: Option<Decimal>,
    reported: Option<Decimal>,
    unpriced: u64,
}

const CLASSES: [&str; 8] =
    ["input", "cache_read", "cache_write_5m", "cache_write_1h", "cache_write", "output", "reasoning", "total"];

impl Sums {
    fn add(&mut self, call: &BTreeMap<String, String>) {
        let amount = |name: &str| column(call, name).map(|text| text.parse::<Decimal>().unwrap());
        self.requests += 1;
        for class in CLASSES {
            let count = column(call, class).map_or(0, |text| text.parse().unwrap());
            *self.tokens.entry(class).or_default() += count;
        }
        let plus = |sum: Option<Decimal>, one: Option<Decimal>| one.map(|one| sum.unwrap_or_default() + one).or(sum);
        self.usd = plus(self.usd, amount("usd"));
        self.reported = plus(self.reported, amount("reported_usd"));
        self.unpriced += u64::from(amount("usd").is_none());
    }

    fn value(&self) -> Value {
        let mut tokens: Map<String, Value> =
            CLASSES.map(|class| (class.to_owned(), json!(self.tokens[class]))).into_iter().collect();
        let writes = ["cache_write_5m", "cache_write_1h", "cache_write"].map(|class| self.tokens[class]);
        tokens["cache_write"] = json!(writes.iter().sum::<u64>());
        let text = |amount: Option<Decimal>| amount.map(|amount| amount.normalize().to_string());
        json!({
            "requests": self.requests,
            "tokens": tokens,
            "cost": {"usd": text(self.usd), "reported_usd": text(self.reported), "unpriced_requests": self.unpriced},
        })
    }
}

/// The lines of the CSV export by the names of its columns.
fn calls(text: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(|line| line.unwrap()).collect()
}

/// A question for sums by some keys.
fn by(keys: &[usize], filter: Filter) -> Question {
    let forms: Vec<KeyForm> = keys.iter().map(|key| key_forms().swap_remove(*key)).collect();
    let names: Vec<String> = forms.iter().map(|(key, ..)| key.name()).collect();
    let mut params = json!({"by": names});
    let mut args = vec!["report".to_owned(), "--by".to_owned(), names.join(",")];
    for (name, value) in filter.given() {
        params[name] = if ["provider", "project"].contains(&name) { json!([value]) } else { json!(value) };
        args.extend([format!("--{name}"), value.to_owned()]);
    }
    let keys: Vec<ReportKey> = forms.iter().map(|(key, ..)| key.clone()).collect();
    let library = Box::new(move |snapshot: &Snapshot<'_>, _: Timestamp| {
        let table = snapshot.report(&filter.apply(Report::by_all(keys.clone()))?)?;
        let rows: Vec<Value> = table
            .rows
            .iter()
            .map(|row| {
                let mut value = serde_json::to_value(row.usage).unwrap();
                for (key, name) in table.keys.iter().zip(&row.keys) {
                    value[key.name()] = json!(name);
                }
                value
            })
            .collect();
        let head = json!({"position": table.position, "root": table.root.to_string()});
        Ok(json!({"head": head, "rows": rows, "total": table.total}))
    });
    let columns: Vec<String> = forms.iter().map(|(_, column, _)| (*column).to_owned()).collect();
    let of_export: Vec<_> = forms.iter().map(|(_, _, of)| *of).collect();
    Question {
        text: format!("usage {args:?}"),
        operation: "report",
        params,
        args,
        library,
        view: sums,
        sql: Some(sql(&columns, &names, filter)),
        export: Some(("csv", Box::new(move |text| fold(&calls(text), &names, &of_export, filter)))),
    }
}

/// The query for sums by some columns, with the total in the last row.
fn sql(columns: &[String], names: &[String], filter: Filter) -> (String, FromRows) {
    let keys = columns.iter().enumerate().fold(String::new(), |text, (n, column)| format!("{text}{column} k{n}, "));
    let classes = CLASSES.iter().fold(String::new(), |text, class| format!("{text}total({class}) {class}, "));
    let sums = format!(
        "count(*) requests, {classes}sum_usd(usd) usd, sum_usd(reported_usd) reported_usd, count(*) - count(usd) unpriced"
    );
    let nothing = (0..columns.len()).fold(String::new(), |text, n| format!("{text}null k{n}, "));
    let order = (1..=columns.len()).map(|n| n.to_string()).collect::<Vec<_>>().join(", ");
    let filter = filter.sql();
    let query = format!(
        "select * from (select {keys}{sums} from calls where {filter} group by {order} order by {order}) \
         union all select {nothing}{sums} from calls where {filter}"
    );
    let names = names.to_vec();
    let answer = move |rows: &[Value]| {
        let one = |row: &Value| {
            let count = |name: &str| row[name].as_f64().unwrap() as u64;
            let mut tokens: Map<String, Value> =
                CLASSES.map(|class| (class.to_owned(), json!(count(class)))).into_iter().collect();
            tokens["cache_write"] = json!(count("cache_write_5m") + count("cache_write_1h") + count("cache_write"));
            let cost =
                json!({"usd": row["usd"], "reported_usd": row["reported_usd"], "unpriced_requests": row["unpriced"]});
            json!({"requests": row["requests"], "tokens": tokens, "cost": cost})
        };
        let (total, rows) = rows.split_last().unwrap();
        let rows: Vec<Value> = rows
            .iter()
            .map(|row| {
                let mut value = one(row);
                for (n, name) in names.iter().enumerate() {
                    value[name] = row[format!("k{n}")].clone();
                }
                value
            })
            .collect();
        json!({"rows": rows, "total": one(total)})
    };
    (query, Box::new(answer))
}

/// The sums of exported calls.
fn fold(calls: &[BTreeMap<String, String>], names: &[String], keys: &[KeyOfCall], filter: Filter) -> Value {
    let mut rows: BTreeMap<Vec<Option<String>>, Sums> = BTreeMap::new();
    let mut total = Sums::default();
    for call in calls.iter().filter(|call| filter.admits(call)) {
        rows.entry(keys.iter().map(|key| key(call)).collect()).or_default().add(call);
        total.add(call);
    }
    let rows: Vec<Value> = rows
        .iter()
        .map(|(keys, sums)| {
            let mut value = sums.value();
            for (name, key) in names.iter().zip(keys) {
                value[name] = json!(key);
            }
            value
        })
        .collect();
    json!({"rows": rows, "total": total.value()})
}

/// The window of a provider account in a status.
fn window_of<'v>(status: &'v Value, provider: &str, account: &Value, kind: &str) -> &'v Value {
    let found = status["providers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["provider"] == provider && one["account"] == *account);
    &found.unwrap()[kind]
}

fn window(status: &Value, kind: &str) -> Value {
    let window = window_of(status, "anthropic", &json!("work"), kind);
    let fields = ["requests", "tokens", "weighted", "limit", "percent", "started_at", "resets_at", "basis", "evidence"];
    let fields: Map<String, Value> = fields.map(|name| (name.to_owned(), window[name].clone())).into_iter().collect();
    Value::Object(fields)
}

/// The question for a quota window.
fn how_full(kind: &'static str, view: fn(&Value) -> Value) -> Question {
    let query = format!(
        "select * from windows where provider = 'anthropic' and account = 'work' and kind = '{kind}' \
         order by started_at desc limit 1"
    );
    let answer = |rows: &[Value]| {
        let row = &rows[0];
        let count = |name: &str| row[name].as_u64().unwrap();
        let mut tokens: Map<String, Value> =
            CLASSES.map(|class| (class.to_owned(), row[class].clone())).into_iter().collect();
        tokens["cache_write"] = json!(count("cache_write_5m") + count("cache_write_1h") + count("cache_write"));
        json!({"requests": row["requests"], "tokens": tokens, "started_at": row["started_at"], "resets_at": row["resets_at"]})
    };
    Question {
        text: format!("how full is the {kind} window"),
        operation: "status",
        params: json!({}),
        args: vec!["status".to_owned()],
        library: Box::new(|snapshot, now| Ok(serde_json::to_value(snapshot.status(now)?).unwrap())),
        view,
        sql: Some((query, Box::new(answer))),
        export: None,
    }
}

fn switches(status: &Value) -> Value {
    json!({"active": status["active_provider"], "switches": status["switches"], "timeline": status["timeline"]})
}

/// The question for the provider switches.
fn who_is_active() -> Question {
    let of_lines = |lines: Vec<Value>| {
        let timeline: Vec<Value> = lines
            .iter()
            .map(|switch| {
                let mut one = json!({"position": switch["position"], "at": switch["occurred_at"], "to": switch["to"], "reason": switch["reason"]});
                if !switch["from"].is_null() {
                    one["from"] = switch["from"].clone();
                }
                one
            })
            .collect();
        let known = timeline.iter().filter(|one| one.get("from").is_some()).count();
        json!({"switches": known, "timeline": timeline})
    };
    Question {
        text: "which provider is active, since which switches".to_owned(),
        operation: "status",
        params: json!({}),
        args: vec!["status".to_owned()],
        library: Box::new(|snapshot, now| Ok(serde_json::to_value(snapshot.status(now)?).unwrap())),
        view: switches,
        sql: Some((
            "select * from switches order by position".to_owned(),
            Box::new(move |rows: &[Value]| of_lines(rows.to_vec())),
        )),
        export: Some((
            "events",
            Box::new(move |text| {
                let events = text
                    .lines()
                    .zip(1..)
                    .map(|(line, position)| (serde_json::from_str::<Value>(line).unwrap(), position));
                let switched = events.filter(|(event, _)| event["kind"] == "provider_switched");
                let lines = switched.map(|(event, position): (Value, u64)| {
                    let data = &event["data"];
                    json!({
                        "position": position, "occurred_at": event["occurred_at"], "from": data["from"], "to": data["to"],
                        "reason": data["reason"],
                    })
                });
                of_lines(lines.collect())
            }),
        )),
    }
}

fn decision(answer: &Value) -> Value {
    let fields = [
        "provider",
        "metered",
        "mode",
        "need",
        "available_percent",
        "gated",
        "reason",
        "basis",
        "evidence",
        "budget_mode",
        "begins",
        "resumes_at",
        "burn",
        "run_cost",
        "trail",
        "warnings",
    ];
    Value::Object(fields.map(|name| (name.to_owned(), answer[name].clone())).into_iter().collect())
}

/// The question for a decision of the gate.
fn may_i_run() -> Question {
    let request = || RunRequest::new("anthropic").map(|request| request.account("work").model("claude-opus-4-5"));
    let params = json!({"provider": "anthropic", "account": "work", "model": "claude-opus-4-5"});
    let args = ["gate", "anthropic", "--account", "work", "--model", "claude-opus-4-5"];
    Question {
        text: "may a run start".to_owned(),
        operation: "gate",
        params,
        args: args.map(str::to_owned).to_vec(),
        library: Box::new(move |snapshot, now| Ok(serde_json::to_value(snapshot.gate(&request()?, now)?).unwrap())),
        view: decision,
        sql: None,
        export: None,
    }
}

fn head(answer: &Value) -> Value {
    answer["head"].clone()
}

/// The question for size and root.
fn which_state() -> Question {
    Question {
        text: "which state is this".to_owned(),
        operation: "report",
        params: json!({}),
        args: vec!["report".to_owned()],
        library: Box::new(|snapshot, _| {
            Ok(json!({"head": {"position": snapshot.head()?.position, "root": snapshot.root()?.to_string()}}))
        }),
        view: head,
        sql: Some((
            "select max(position) position from events".to_owned(),
            Box::new(|rows: &[Value]| json!({"position": rows[0]["position"]})),
        )),
        export: Some((
            "events",
            Box::new(|text| {
                let leaves = text.lines().map(Hash::of_line).collect::<Vec<_>>();
                json!({"position": leaves.len(), "root": root(&leaves).to_string()})
            }),
        )),
    }
}

/// The root of a tree by the definition of RFC 6962, §2.1.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            let node = [&[1][..], root(left).as_bytes(), root(right).as_bytes()].concat();
            Hash::from_bytes(Sha256::digest(&node).into())
        }
    }
}

/// The twenty questions.
pub(super) fn questions() -> Vec<Question> {
    let all = Filter::default();
    let mut questions: Vec<Question> = (0..10).map(|key| by(&[key], all)).collect();
    questions.extend([
        by(&[0, 1], all),
        by(&[7], Filter { provider: Some("openai"), ..all }),
        by(&[1], Filter { project: Some("acme"), ..all }),
        by(&[0], Filter { since: Some("2026-11-18T09:30:00.000Z"), until: Some("2026-11-20T10:01:00.000Z"), ..all }),
        by(&[4, 3, 6], Filter { provider: Some("anthropic"), until: Some("2026-11-21T00:00:00.000Z"), ..all }),
        how_full("session", |status| window(status, "session")),
        how_full("weekly", |status| window(status, "weekly")),
        who_is_active(),
        may_i_run(),
        which_state(),
    ]);
    questions
}
