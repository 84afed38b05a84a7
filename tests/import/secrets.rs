//! Credentials in every string of every importer's format, and of telemetry, reach no ledger, answer or export.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use usage_ledger::Ledger;
use usage_ledger::import::{self, ImportOptions};

use crate::cli_support::TestCli;

/// Forms of credentials; `@` stands for the varying part.
const SHAPES: [&str; 79] = [
    "sk-ant-api03-@",
    "sk-ant-oat01-@",
    "sk-proj-@",
    "sk-or-v1-@",
    "sk-svcacct-@",
    "sk-admin-@",
    "sk-@",
    "sk_live_@",
    "pk_live_@",
    "rk_test_@",
    "ghp_@",
    "gho_@",
    "ghu_@",
    "ghs_@",
    "ghr_@",
    "github_pat_@",
    "glpat-@",
    "gldt-@",
    "xoxb-12-@",
    "xoxp-@",
    "xapp-1-@",
    "AIzaSy@",
    "ya29.@",
    "GOCSPX-@",
    "xai-@",
    "gsk_@",
    "hf_@",
    "r8_@",
    "pplx-@",
    "nvapi-@",
    "npm_@",
    "pypi-@",
    "dckr_pat_@",
    "shpat_@",
    "whsec_@",
    "hvs.@",
    "tskey-auth-@",
    "lin_api_@",
    "fw_@",
    "figd_@",
    "phx_@",
    "dop_v1_@",
    "tvly-@",
    "sbp_@",
    "sb_secret_@",
    "csk-@",
    "https://hooks.slack.com/services/T00000000/B00000000/@",
    "eyJhbGciOiJIUzI1NiJ9.@.sig",
    "eyJ@@",
    "Bearer @",
    "bearer @",
    "Basic @=",
    "Authorization: Bearer @",
    "authorization=@",
    "Cookie: sid=@",
    "password=@",
    "passwd: @",
    "api_key=@",
    "API-KEY: @",
    "apiKey=@",
    "token=@",
    "access_token=@",
    "client_secret=@",
    "--secret=@",
    "OPENAI_API_KEY=@",
    "AWS_SECRET_ACCESS_KEY=@",
    "https://me:@@host.example/x",
    "postgres://u:@@db/x",
    "https://x.example/?sig=@",
    "AccountKey=@;",
    "pcsk_@",
    "AQ.Ab8@",
    "dp.pt.@",
    "LTAI@",
    "DEEPGRAM_KEY=@",
    "<password>@</password>",
    "%20ghp_@",
    "password%3D@",
    "-----BEGIN RSA PRIVATE KEY-----\\n@\\n-----END RSA PRIVATE KEY-----",
];

/// Makes distinct credentials, and records them for the search.
#[derive(Default)]
struct Planter(Vec<String>);

impl Planter {
    fn next(&mut self) -> String {
        let core = format!("Zq7{:05}Xv9Kp2Lm5Rt8Wy3Bn", self.0.len());
        let secret = SHAPES[self.0.len() % SHAPES.len()].replace("@@host", &format!("{core}@host"));
        let secret = secret.replace("@@db", &format!("{core}@db")).replace("eyJ@@", &format!("eyJ{core}{core}"));
        let secret = if secret.contains(&core) { secret } else { secret.replace('@', &core) };
        self.0.push(core);
        secret
    }

    /// The credentials that occur in these bytes.
    fn leaked(&self, bytes: &[u8], place: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        let marked: BTreeSet<&str> =
            Regex::new("(?i)Zq7[0-9]{5}Xv9").unwrap().find_iter(&text).map(|leaked| leaked.as_str()).collect();
        marked
            .into_iter()
            .map(|mark| {
                let shape = SHAPES[mark[3..8].parse::<usize>().unwrap() % SHAPES.len()];
                let at = text.find(mark).unwrap();
                let around: String = text[..at].chars().rev().take(120).collect::<Vec<_>>().into_iter().rev().collect();
                format!("{place}: {shape} behind {around:?}")
            })
            .collect()
    }
}

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

fn files(directory: &Path, leaked: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { files(&entry, leaked) } else { leaked.push(entry) }
    }
}

/// The text of a file; of a database its SQL statements.
fn text(path: &Path) -> Option<String> {
    fs::read(path).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Writes a home in which one file is replaced.
fn home(from: &Path, to: &Path, (changed, content): (&Path, &str)) {
    let mut all = Vec::new();
    files(from, &mut all);
    for file in all {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let own = (file == changed).then(|| content.to_owned());
        if file.extension().is_some_and(|extension| extension == "sql") {
            let sql = own.unwrap_or_else(|| fs::read_to_string(&file).unwrap());
            let database = rusqlite::Connection::open(target.with_extension("")).unwrap();
            // A change may break a statement; the others still run.
            let _ = database.execute_batch(&sql);
        } else {
            match own {
                Some(content) => fs::write(target, content).unwrap(),
                None => drop(fs::copy(&file, target).unwrap()),
            }
        }
    }
}

/// For every name in a text, the text with the strings of that name replaced or extended by a credential.
fn planted(text: &str, planter: &mut Planter) -> Vec<String> {
    let pair = Regex::new(r#""([\w.-]+)"(\s*:\s*)"((?:[^"\\]|\\.)*)""#).unwrap();
    let names: BTreeSet<String> = pair.captures_iter(text).map(|leaked| leaked[1].to_owned()).collect();
    let mut all = Vec::new();
    for name in names {
        for keeps in [false, true] {
            let secret = planter.next();
            let replace = |leaked: &regex::Captures<'_>| {
                if leaked[1] != *name {
                    return leaked[0].to_owned();
                }
                let before = if keeps { format!("{} ", &leaked[3]) } else { String::new() };
                format!("\"{}\"{}\"{before}{secret}\"", &leaked[1], &leaked[2])
            };
            all.push(pair.replace_all(text, replace).into_owned());
        }
        // A field of no known version, with a text in place of a number.
        let secret = planter.next();
        all.push(text.replacen(
            &format!("\"{name}\""),
            &format!("\"{}\":\"{secret}\",\"{name}\"", secret.replace('\\', "")),
            1,
        ));
    }
    let literal = Regex::new(r"'[^'{\[]{3,}'").unwrap();
    if text.contains("INSERT") {
        for leaked in literal.find_iter(text) {
            all.push(format!("{}'{}'{}", &text[..leaked.start()], planter.next(), &text[leaked.end()..]));
        }
    }
    all
}

/// Homes of every agent, each with credentials in another field.
fn homes(cli: &TestCli, planter: &mut Planter) -> Vec<PathBuf> {
    let mut agents: Vec<PathBuf> = ["agents", "planted"]
        .into_iter()
        .flat_map(|place| fs::read_dir(fixture(place)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    agents.push(fixture("clients"));
    agents.sort();
    let mut made = Vec::new();
    for agent in agents {
        let mut all = Vec::new();
        files(&agent, &mut all);
        for file in all {
            let Some(text) = text(&file) else { continue };
            // The beginning of a log suffices. A small document is read as a whole.
            let is_document = file.extension().is_some_and(|end| end == "json" || end == "sql") && text.len() < 32_768;
            let lines = if is_document { usize::MAX } else { 40 };
            let text: String = text.split_inclusive('\n').take(lines).collect();
            for content in planted(&text, planter) {
                let to = cli.dir().join(format!("home{}", made.len()));
                if agent.ends_with("clients") {
                    let target = to.join(file.strip_prefix(&agent).unwrap());
                    fs::create_dir_all(target.parent().unwrap()).unwrap();
                    fs::write(target, content).unwrap();
                } else {
                    home(&agent, &to, (&file, &content));
                }
                made.push(to);
            }
        }
    }
    // In names of directories and files.
    for _ in 0..SHAPES.len() {
        let secret = planter.next().replace(['/', '\\', ' '], "-");
        if !secret.starts_with(['-', 'B', 'b', 'h', 'p', 'C', 'A']) {
            let to = cli.dir().join(format!("home{}", made.len()));
            let log = fixture("clients/.claude/projects/-home-dev-a/412a48bb-5183-459d-ba43-214d8a16dcc1.jsonl");
            let target = to.join(format!(".claude/projects/{secret}/{secret}.jsonl"));
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(log, target).unwrap();
            made.push(to);
        }
    }
    made
}

#[test]
fn no_credential_of_a_log_reaches_the_ledger_or_an_answer() {
    let (cli, mut planter) = (TestCli::new(), Planter::default());
    let homes = homes(&cli, &mut planter);
    assert!(planter.0.len() >= 60 * 5, "{}", planter.0.len());
    let mut leaked = Vec::new();
    // Each in a separate ledger, because a call in two homes is one record.
    let mut recorded = 0;
    let mut sources = BTreeSet::new();
    for home in &homes {
        let ledger = Ledger::in_memory().unwrap();
        let options = ImportOptions::new().sources(import::names()).homes([home.clone()]);
        let now: usage_ledger::Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        let report = import::run(&ledger, &options, now, &mut |_| {}).unwrap();
        sources.extend(report.sources.iter().filter(|one| one.recorded > 0).map(|one| one.source.clone()));
        recorded += report.sources.iter().map(|source| source.recorded).sum::<u64>();
        let place = home.to_string_lossy();
        leaked.extend(planter.leaked(format!("{report:?}").as_bytes(), &format!("report of {place}")));
        let mut lines = String::new();
        let mut visit = |_, line: &str| {
            lines += line;
            Ok(true)
        };
        ledger.snapshot().unwrap().lines(1.into(), &mut visit).unwrap();
        leaked.extend(planter.leaked(lines.as_bytes(), &format!("ledger of {place}")));
    }
    assert!(recorded > 1_000, "{recorded}");
    let missing: Vec<_> = import::names().into_iter().filter(|name| !sources.contains(*name)).collect();
    assert!(missing.is_empty(), "no record of {missing:?}, only of {sources:?}");
    let mut ask = |args: &[&str]| {
        let done = cli.command().args(args).output().unwrap();
        let output = [done.stdout, done.stderr].concat();
        // The paths of the homes contain no credential.
        leaked.extend(planter.leaked(&output, &args.join(" ").chars().take(40).collect::<String>()));
        String::from_utf8_lossy(&output).into_owned()
    };
    // Every thirtieth home is also tested with the command.
    let some: Vec<&PathBuf> = homes.iter().step_by(30).collect();
    for part in some.chunks(100) {
        let places: Vec<&str> = part.iter().flat_map(|home| ["--home", home.to_str().unwrap()]).collect();
        ask(&[&["import"], &*places].concat());
        let again = ask(&[&["--json", "import"], &*places].concat());
        let again: serde_json::Value = serde_json::from_str(again.lines().next().unwrap()).unwrap();
        let sources = again["sources"].as_array().unwrap();
        assert!(sources.iter().all(|source| source["recorded"] == 0), "imported twice: {again}");
        ask(&[&["doctor"], &*places].concat());
    }
    let keys = "provider,account,model,agent,project,conversation";
    let report = ask(&["--json", "report", "--by", keys]);
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(report["total"]["requests"].as_u64().unwrap() > 10, "{}", report["total"]);
    for args in
        [&["report", "--by", keys][..], &["report", "--by", keys, "--csv"], &["status"], &["log"], &["--json", "log"]]
    {
        ask(args);
    }
    for format in ["events", "cloudevents", "csv", "focus", "hledger", "koan-jsonl", "usage-md", "prometheus"] {
        ask(&["export", "--format", format]);
    }
    assert_eq!(cli.json(&["verify"])["ok"], true);
    for file in ["usage.db", "usage.db-wal"] {
        leaked.extend(planter.leaked(&fs::read(cli.dir().join(file)).unwrap_or_default(), file));
    }
    let kinds: BTreeSet<&String> = leaked.iter().collect();
    assert!(kinds.is_empty(), "{} of {}:\n{kinds:#?}", leaked.len(), planter.0.len());
}

#[cfg(feature = "web")]
#[test]
fn no_credential_of_telemetry_reaches_the_ledger_or_an_answer() {
    use usage_ledger::internals::import::{MetricSums, Telemetry, take};
    let (cli, mut planter) = (TestCli::new(), Planter::default());
    let ledger = Ledger::open(cli.ledger()).unwrap();
    let mut reasons = String::new();
    let mut sums = MetricSums::default();
    let value = Regex::new(r#"("stringValue"|"key"|"name"|"eventName")(\s*:\s*)"([^"]*)""#).unwrap();
    for file in ["claude-code-logs", "codex-logs", "gemini-cli-logs", "genai-logs", "genai-spans", "metrics"] {
        let text = fs::read_to_string(fixture(&format!("otlp/{file}.json"))).unwrap();
        for place in value.captures_iter(&text) {
            for keeps in [false, true] {
                let secret = planter.next();
                let whole = place.get(3).unwrap();
                let end = if keeps { format!("{} {secret}", whole.as_str()) } else { secret };
                let text = format!("{}{end}{}", &text[..whole.start()], &text[whole.end()..]);
                let result = match file {
                    "metrics" => {
                        reasons += &Telemetry::of_metrics(&serde_json::from_str(&text).unwrap(), &mut sums).join("\n");
                        continue;
                    }
                    "genai-spans" => Telemetry::of_spans(&serde_json::from_str(&text).unwrap()),
                    _ => Telemetry::of_logs(&serde_json::from_str(&text).unwrap()),
                };
                reasons += &result.unread.join("\n");
                let now: usage_ledger::Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
                let taken = take(&ledger, result, now).unwrap();
                reasons += &taken.refused.join("\n");
                for record in &taken.records {
                    sums.record(record);
                }
            }
        }
    }
    drop(ledger);
    for sum in sums.list() {
        reasons += &format!("{} {}\n", sum.agent, sum.model);
    }
    assert!(planter.0.len() >= 300, "{}", planter.0.len());
    let mut leaked = planter.leaked(reasons.as_bytes(), "reasons and sums");
    for file in ["usage.db", "usage.db-wal"] {
        leaked.extend(planter.leaked(&fs::read(cli.dir().join(file)).unwrap_or_default(), file));
    }
    assert!(leaked.is_empty(), "{} of {}:\n{leaked:#?}", leaked.len(), planter.0.len());
}

#[test]
fn usage_objects_of_responses_keep_only_numbers_and_short_words() {
    let cli = TestCli::new();
    let long = "a prompt of somebody, word for word. ".repeat(20);
    let response = format!(
        r#"{{"id":"msg_1","model":"claude-opus-4-5","usage":{{"input_tokens":3,"output_tokens":4,"service_tier":"standard",
            "note":"sk-ant-api03-hunter2hunter2","more":["{long}"],"n":1.50}}}}"#
    );
    cli.ok_with_input(response, &["record", "--format", "anthropic", "--provider", "anthropic"]);
    let line = cli.ok(&["export"]);
    assert!(line.contains(r#""output_tokens":4,"service_tier":"standard","note":"[redacted]""#), "{line}");
    assert!(line.contains(r#""n":1.50"#) && line.contains("[cut: 740 bytes]") && !line.contains("hunter2"), "{line}");
    assert!(line.len() < 900, "{line}");
}

#[test]
fn names_and_ids_of_responses_lose_credentials_and_stay_distinct() {
    let cli = TestCli::new();
    for end in ["1", "2"] {
        let response = format!(
            r#"{{"id":"sk-ant-api03-hunter2hunter2{end}","model":"claude-opus-4-5 sk-ant-api03-hunter2hunter2",
                "usage":{{"input_tokens":3,"output_tokens":4,"service_tier":"sk-ant-api03-hunter2hunter2"}}}}"#
        );
        cli.ok_with_input(response, &["record", "--format", "anthropic", "--provider", "anthropic"]);
    }
    let lines = cli.ok(&["export"]);
    assert!(!lines.contains("hunter2"), "{lines}");
    assert_eq!(lines.lines().count(), 2, "{lines}");
}
