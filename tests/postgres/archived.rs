//! Older lines in an archive: the database keeps their hashes, and every command answers as before.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::commands::run;

struct Archived {
    home: TempDir,
    ledger: String,
    database: String,
    name: String,
}

const QUESTIONS: [&[&str]; 11] = [
    &["report", "--by", "day,model", "--json"],
    &["report", "--by", "conversation", "--json"],
    &["report", "--by", "label:mission", "--json", "--since", "2026-05-03", "--until", "2026-05-04T01:07:00Z"],
    &["report", "--by", "project", "--as-of", "700", "--json"],
    &["log", "--json", "--limit", "2000"],
    &["log", "--json", "--project", "p3"],
    &["show", "5", "--json"],
    &["status", "--json"],
    &["verify", "--json"],
    &["replay", "--json"],
    &["export", "--format", "events"],
];

impl Archived {
    fn new(cluster: &Cluster, database: &str, events: usize) -> Self {
        cluster.create_database(database);
        let name = cluster.fresh_name();
        let ledger = cluster.address_as("admin", database, &name);
        let this = Self { home: tempfile::tempdir().unwrap(), ledger, database: database.to_owned(), name };
        this.ok(&["limit", "set", "anthropic", "--session", "100000"]);
        this.record(0, events);
        this.ok(&["amend", "9", "--input", "77", "--reason", "wrong"]);
        this.ok(&["key", "generate", "--name", "a.example/log", &this.key()]);
        this
    }

    fn key(&self) -> String {
        self.home.path().join("key").display().to_string()
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("archive")
    }

    fn url(&self) -> String {
        format!("file://{}", self.folder().display())
    }

    fn record(&self, first: usize, last: usize) {
        let line = |n: usize| {
            let day = 1 + n % 9;
            let provider = ["anthropic", "openai"][n % 2];
            let call = json!({"provider": provider, "model": "m", "input": n + 1, "key": format!("k{n}"),
                "project": format!("p{}", n % 11), "conversation": format!("c{}", n % 40), "labels": {"mission": format!("m{}", n % 5)},
                "occurred_at": format!("2026-05-{day:02}T{:02}:{:02}:00Z", n % 24, n % 60)});
            format!("{call}\n")
        };
        let input = self.home.path().join("in.jsonl");
        fs::write(&input, (first..last).map(line).collect::<Vec<_>>().concat()).unwrap();
        self.ok(&["record", "--jsonl", &input.display().to_string()]);
    }

    fn try_run(&self, arguments: &[&str]) -> (i32, String, String) {
        let done = run(&self.ledger, self.home.path(), arguments);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let (code, out, message) = self.try_run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{message}");
        out
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[&["--json"], arguments].concat())).unwrap()
    }

    fn refused(&self, code: i32, arguments: &[&str], why: &str) {
        let (exit, out, message) = self.try_run(arguments);
        assert!(exit == code && (message.contains(why) || out.contains(why)), "{arguments:?}: {exit} {out}{message}");
    }

    fn answers(&self) -> Vec<String> {
        QUESTIONS.iter().map(|question| self.ok(question)).collect()
    }

    fn sql(&self, cluster: &Cluster, what: &str) -> String {
        let sql = format!("SELECT {what} FROM usage_ledger.events WHERE ledger_id = '{}'", self.name);
        cluster.sql(&self.database, &sql)
    }

    fn move_before(&self, before: &str) -> Value {
        self.json(&["archive", "move", &self.url(), "--before", before, "--key", &self.key()])
    }
}

/// The files below a directory that contain a text.
fn holding(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()) {
            found.push(path);
        }
    }
    found
}

pub fn lines(cluster: &Cluster) {
    let archived = Archived::new(cluster, "archived", 1_500);
    let before = archived.answers();
    archived.refused(2, &["archive", "move", "--before", "9", "--key", &archived.key()], "give the address");
    let moved = archived.move_before("1200");
    // One event in front of position 1,024 is no call.
    assert_eq!(
        (&moved["until"], &moved["moved"], &moved["size"]),
        (&json!(1_024), &json!(1_023), &json!(1_502)),
        "{moved}"
    );
    assert_eq!(archived.sql(cluster, "count(*) FILTER (WHERE length(body) = 33)"), "1023");
    assert_eq!(archived.sql(cluster, "max(position) FILTER (WHERE length(body) = 33)"), "1024");
    for (question, (now, before)) in QUESTIONS.iter().zip(archived.answers().iter().zip(&before)) {
        assert_eq!(now, before, "{question:?}");
    }
    // It continues where it ended, by time too, and moves nothing twice.
    archived.record(1_500, 2_100);
    assert_eq!(archived.json(&["archive", "move", "--before", "2090", "--key", &archived.key()])["moved"], 1_023);
    assert_eq!(archived.move_before("2090")["moved"], 0);
    assert_eq!(archived.move_before("2026-01")["until"], 2_048);
    let elsewhere = format!("file://{}", archived.home.path().join("other").display());
    archived.refused(2, &["archive", "move", &elsewhere, "--before", "9", "--key", &archived.key()], &archived.url());
    // Known calls are recognised by their keys, an archived one is corrected and withdrawn.
    let size = archived.json(&["verify"])["size"].clone();
    archived.record(0, 300);
    assert_eq!(archived.json(&["verify"])["size"], size);
    archived.ok(&["amend", "20", "--input", "5", "--reason", "wrong"]);
    archived.ok(&["void", "21", "--reason", "twice"]);
    // Shredding reaches the archive.
    assert!(!holding(&archived.folder(), "\"p3\"").is_empty());
    archived.ok(&["shred", "--project", "p3", "--reason", "asked for"]);
    assert_eq!(holding(&archived.folder(), "\"p3\""), Vec::<PathBuf>::new());
    assert_eq!(archived.sql(cluster, "count(*) FILTER (WHERE position('\"p3\"'::bytea in body) > 0)"), "0");
    assert!(archived.json(&["verify"])["ok"] == true && archived.json(&["replay"])["ok"] == true);
    archived.ok(&["archive", "save", &archived.url(), "--key", &archived.key()]);
    let verifier = archived.ok(&["key", "show", &archived.key()]);
    archived.ok(&["archive", "verify", &archived.url(), "--verifier", verifier.trim()]);
    let restored = archived.home.path().join("restored.db").display().to_string();
    archived.ok(&["archive", "restore", &archived.url(), &restored, "--verifier", verifier.trim()]);
    assert_eq!(archived.ok(&["--ledger", &restored, "export"]), archived.ok(&["export"]));
}

/// What works without the archive, and how the rest fails.
pub fn lost(cluster: &Cluster) {
    let archived = Archived::new(cluster, "archive_lost", 1_100);
    archived.move_before("1100");
    // Only the owner of the tables moves lines; a server can shred an archived one, if its archive lets it.
    cluster.sql("archive_lost", "CREATE ROLE of_archive LOGIN; GRANT usage_ledger_server TO of_archive");
    let server = cluster.address_as("of_archive", "archive_lost", &archived.name);
    archived.record(1_100, 2_100);
    let as_server = ["--ledger", &server, "archive", "move", "--before", "2100", "--key", &archived.key()];
    archived.refused(3, &as_server, "the role may not do this");
    let (code, ..) = archived.try_run(&["--ledger", &server, "shred", "7", "--reason", "asked for"]);
    assert!(code == 3, "the tables are rewritten by their owner alone");
    let tombstone = archived.sql(cluster, "count(*) FILTER (WHERE position = 7 AND length(body) > 33)");
    assert_eq!(tombstone, "1");
    archived.ok(&["shred", "--finish"]);
    archived.ok(&["verify"]);
    // A changed bundle is found, by name and position.
    let bundle = archived.folder().join("tile/entries/001");
    let sound = fs::read(&bundle).unwrap();
    let mut changed = sound.clone();
    let at = changed.windows(8).position(|part| part == b"\"input\":").unwrap() + 8;
    changed[at] = if changed[at] == b'9' { b'8' } else { b'9' };
    fs::write(&bundle, &changed).unwrap();
    archived.refused(1, &["verify"], &archived.url());
    archived.refused(3, &["show", "257"], "does not have the hash");
    fs::write(&bundle, &sound).unwrap();
    archived.ok(&["verify"]);
    // Without the archive, what needs no archived line goes on.
    let away = archived.home.path().join("away");
    fs::rename(archived.folder().join("tile"), &away).unwrap();
    let url = archived.url();
    for works in [&["report", "--by", "project"][..], &["status"], &["gate", "anthropic"], &["show", "2101"]] {
        archived.ok(works);
    }
    archived.ok(&["report", "--by", "project", "--since", "2026-05-03T05:07:00Z", "--until", "2026-05-04T01:07:00Z"]);
    archived.ok(&["record", "--provider", "openai", "--model", "m", "--input", "5", "--key", "new"]);
    for needs in [
        &["show", "5"][..],
        &["verify"],
        &["export"],
        &["record", "--provider", "anthropic", "--model", "m", "--input", "11", "--key", "k10"],
        &["shred", "10", "--reason", "asked for"],
    ] {
        archived.refused(3, needs, &url);
    }
    fs::rename(&away, archived.folder().join("tile")).unwrap();
    archived.ok(&["verify"]);
    let file = archived.home.path().join("usage.db").display().to_string();
    archived.ok(&["--ledger", &file, "switch", "openai"]);
    archived.refused(2, &["--ledger", &file, "archive", "move", &url, "--before", "9"], "PostgreSQL");
}
