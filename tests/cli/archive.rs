//! Archives in a directory. `tests/archive/run.sh` repeats the main steps with a real S3 server.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::cli_support::TestCli;
use rusqlite::Connection;
use usage_ledger::{Ledger, Timestamp, TokenRecord};

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// A ledger with a key, its archive and its verifier key.
struct Archived {
    cli: TestCli,
    url: String,
    folder: PathBuf,
    key: String,
    verifier: String,
}

impl Archived {
    fn new(events: u64) -> Self {
        let cli = TestCli::new();
        let (folder, key) = (cli.dir().join("archive"), cli.dir().join("key").display().to_string());
        let verifier = cli.ok(&["key", "generate", "--name", "a.example/log", &key]).trim().to_owned();
        let archived = Self { url: format!("file://{}", folder.display()), folder, key, verifier, cli };
        archived.record(0, events);
        archived
    }

    fn record(&self, from: u64, to: u64) {
        let ledger = Ledger::open(self.cli.ledger()).unwrap();
        let call = |n: u64| {
            let call = TokenRecord::new("anthropic", "m").input(n).key(format!("k{n}"));
            usage_ledger::event::NewEvent::new(call.project(format!("secret-{}", n % 7)), now())
        };
        ledger.append((from..to).map(call), now()).unwrap();
    }

    fn save(&self) -> serde_json::Value {
        self.cli.json(&["archive", "save", &self.url, "--key", &self.key])
    }

    fn verify(&self) -> serde_json::Value {
        self.cli.json(&["archive", "verify", &self.url, "--verifier", &self.verifier])
    }

    fn refused(&self, code: i32) -> String {
        self.cli.fails(code, &["archive", "verify", &self.url, "--verifier", &self.verifier])
    }

    fn export(&self, ledger: &Path) -> String {
        self.cli.ok(&["--ledger", ledger.to_str().unwrap(), "export"])
    }

    fn expect(&self, files: &BTreeMap<String, Vec<u8>>) {
        let found = self.files();
        assert_eq!(found.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>());
        for (path, bytes) in files {
            assert!(found[path] == *bytes, "{path} is another file");
        }
    }

    /// The files of the archive by their paths.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        fn add(folder: &Path, below: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    add(&path, below, files);
                } else {
                    let name = path.strip_prefix(below).unwrap().to_string_lossy().into_owned();
                    files.insert(name, fs::read(&path).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        add(&self.folder, &self.folder, &mut files);
        files.remove("archive.lock");
        files
    }
}

#[test]
fn an_archive_grows_with_the_ledger_and_restores_it_alone() {
    let archived = Archived::new(3);
    let mut size = 3;
    for more in [0, 7, 246, 1, 300, 1_500] {
        archived.record(size, size + more);
        size += more;
        let saved = archived.save();
        assert_eq!(saved["size"], size);
        assert_eq!(archived.verify()["size"], size);
        let again = archived.save();
        assert_eq!((&again["added"], &again["files"]), (&0.into(), &0.into()), "nothing is new");
    }
    let files = archived.files();
    let expected = [
        "checkpoint",
        "tile/entries/000",
        "tile/entries/007",
        "tile/entries/008.p/9",
        "tile/0/008.p/9",
        "tile/1/000.p/8",
    ];
    assert!(expected.iter().all(|path| files.contains_key(*path)), "{:?}", files.keys());
    // Partial files of every width go when the full ones exist. The tile of level 1 is partial still, in three widths.
    assert_eq!(files.len(), 1 + 2 * 9 + 3, "{:?}", files.keys());

    let restored = archived.cli.dir().join("restored.db");
    let name = restored.to_str().unwrap();
    let restore = ["archive", "restore", &archived.url, name, "--verifier", &archived.verifier];
    archived.cli.ok(&restore);
    assert_eq!(archived.export(&restored), archived.export(&archived.cli.ledger()));
    archived.cli.ok(&["--ledger", name, "verify"]);
    assert!(archived.cli.fails(2, &restore).contains("there already"));
    let by_project = |ledger: &str| archived.cli.ok(&["--ledger", ledger, "--json", "report", "--by", "project"]);
    assert_eq!(by_project(name), by_project(archived.cli.ledger().to_str().unwrap()));
}

#[test]
fn every_changed_or_missing_file_is_found() {
    let archived = Archived::new(600);
    archived.save();
    archived.record(600, 610);
    archived.save();
    // Files of the former checkpoint: readers that hold it may need them, and the present one needs them not.
    let former = ["tile/0/002.p/88", "tile/entries/002.p/88"];
    let mut tried = 0;
    for (path, bytes) in archived.files() {
        let place = archived.folder.join(&path);
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            fs::write(&place, &other).unwrap();
            archived.refused(1);
            tried += 1;
        }
        fs::write(&place, &bytes[..bytes.len() - 1]).unwrap();
        archived.refused(1);
        fs::remove_file(&place).unwrap();
        match path.as_str() {
            path if former.contains(&path) => assert_eq!(archived.verify()["size"], 610),
            "checkpoint" => drop(archived.refused(2)),
            _ => drop(archived.refused(1)),
        }
        fs::write(&place, &bytes).unwrap();
    }
    assert_eq!(tried, 3 * (1 + 3 + 3 + 1 + former.len()));
    archived.verify();
    let other = archived.cli.ok(&[
        "key",
        "generate",
        "--name",
        "a.example/log",
        archived.cli.dir().join("other").to_str().unwrap(),
    ]);
    let foreign = archived.cli.fails(1, &["archive", "verify", &archived.url, "--verifier", other.trim()]);
    assert!(foreign.contains("checkpoint of the archive"), "{foreign}");
}

#[test]
fn another_history_is_refused_with_the_first_different_position() {
    let archived = Archived::new(700);
    archived.save();
    let before = archived.files();
    // Two futures of one ledger: a copy of it was used.
    let copy = archived.cli.dir().join("copy.db");
    archived.cli.ok(&["backup", copy.to_str().unwrap(), "--key", &archived.key]);
    archived.record(700, 703);
    archived.save();
    let after = archived.files();
    assert_ne!(before, after);
    let ledger = Ledger::open(&copy).unwrap();
    for n in 0..9 {
        ledger.record(TokenRecord::new("openai", "m").input(n).key(format!("other{n}")), now()).unwrap();
    }
    let save = ["--ledger", copy.to_str().unwrap(), "archive", "save", &archived.url, "--key", &archived.key];
    let refused = archived.cli.fails(1, &save);
    assert!(refused.contains("position 701"), "{refused}");
    // An older copy must not take anything away.
    let older = archived.cli.dir().join("older.db");
    Ledger::open(&older).unwrap().record(TokenRecord::new("openai", "m").input(1), now()).unwrap();
    let save = ["--ledger", older.to_str().unwrap(), "archive", "save", &archived.url, "--key", &archived.key];
    assert!(archived.cli.fails(1, &save).contains("703 events"));
    assert_eq!(archived.files(), after);
}

#[test]
fn an_interrupted_run_is_continued() {
    let archived = Archived::new(300);
    archived.save();
    let checkpoint = fs::read(archived.folder.join("checkpoint")).unwrap();
    archived.record(300, 900);
    archived.save();
    // As if the last run had ended before its checkpoint, with some of its files missing.
    fs::write(archived.folder.join("checkpoint"), checkpoint).unwrap();
    assert_eq!(archived.verify()["size"], 300, "full files stand for the partial ones that are gone");
    fs::remove_file(archived.folder.join("tile/entries/002")).unwrap();
    archived.record(900, 1_000);
    assert_eq!(archived.save()["added"], 700);
    assert_eq!(archived.verify()["size"], 1_000);
}

#[test]
fn a_damaged_ledger_does_not_reach_the_archive() {
    let archived = Archived::new(40);
    let connection = Connection::open(archived.cli.ledger()).unwrap();
    connection.execute_batch("DROP TRIGGER events_are_never_changed").unwrap();
    connection
        .execute("UPDATE events SET body = replace(body, '\"input\":7', '\"input\":8') WHERE position = 8", [])
        .unwrap();
    drop(connection);
    let refused = archived.cli.fails(3, &["archive", "save", &archived.url, "--key", &archived.key]);
    assert!(refused.contains("position 8"), "{refused}");
    assert!(!archived.folder.join("checkpoint").exists());
}

#[test]
fn shredded_and_very_long_lines_survive_the_way_through_an_archive() {
    let archived = Archived::new(900);
    let long = "x".repeat(70_000);
    archived.cli.ok(&["pause", "--reason", &long]);
    archived.save();
    archived.record(1_000, 1_010);
    archived.save();
    let contains = |text: &str| -> Vec<String> {
        let has = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        archived.files().into_iter().filter(|(_, bytes)| has(bytes)).map(|(path, _)| path).collect()
    };
    assert!(contains(&long).len() == 1 && contains("secret-3").len() > 4);
    archived.cli.ok(&["shred", "--project", "secret-3", "--reason", "the customer asked"]);
    let saved = archived.save();
    assert!(saved["shredded_files"].as_u64().unwrap() >= 4, "{saved}");
    assert_eq!(contains("\"secret-3\""), Vec::<String>::new());
    archived.verify();
    let restored = archived.cli.dir().join("restored.db");
    let name = restored.to_str().unwrap();
    archived.cli.ok(&["archive", "restore", &archived.url, name, "--verifier", &archived.verifier]);
    assert_eq!(archived.export(&restored), archived.export(&archived.cli.ledger()));
}

#[test]
fn an_interrupted_removal_of_shredded_lines_is_continued() {
    let archived = Archived::new(900);
    archived.save();
    let before = archived.files();
    archived.cli.ok(&["shred", "--project", "secret-3", "--reason", "the customer asked"]);
    let size = archived.save()["size"].as_u64().unwrap();
    let after = archived.files();
    let has_secret = |bytes: &[u8]| bytes.windows(10).any(|part| part == b"\"secret-3\"");
    let secrets = || archived.files().values().filter(|bytes| has_secret(bytes)).count();
    assert_eq!(secrets(), 0);
    // The state of the files in front of the new checkpoint, and behind it.
    let rewind = |checkpoint: &BTreeMap<String, Vec<u8>>| {
        let list = archived.folder.join(format!("shredding/900-{size}"));
        fs::create_dir_all(list.parent().unwrap()).unwrap();
        fs::write(list, "0\n1\n2\n3\n").unwrap();
        for (path, bytes) in before.iter().filter(|(path, _)| path.starts_with("tile/entries/")) {
            let file = archived.folder.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        fs::write(archived.folder.join("checkpoint"), &checkpoint["checkpoint"]).unwrap();
        assert_eq!(secrets(), 4);
    };
    rewind(&before);
    assert_eq!(archived.verify()["size"], 900);
    archived.save();
    archived.expect(&after);
    rewind(&after);
    assert_eq!(archived.verify()["size"], size);
    let saved = archived.save();
    assert_eq!((&saved["added"], &saved["shredded_files"]), (&0.into(), &4.into()), "{saved}");
    archived.expect(&after);
    // A list that nobody can read is no reason to leave lines.
    fs::write(archived.folder.join(format!("shredding/900-{size}")), "all\n").unwrap();
    let refused = archived.cli.fails(1, &["archive", "save", &archived.url, "--key", &archived.key]);
    assert!(refused.contains("shredding/900"), "{refused}");
}

#[cfg(unix)]
#[test]
fn a_named_pipe_in_an_archive_does_not_block() {
    let archived = Archived::new(3);
    archived.save();
    for path in ["tile/entries/000.p/3", "checkpoint", "archive.lock"] {
        let place = archived.folder.join(path);
        let aside = archived.cli.dir().join("aside");
        fs::rename(&place, &aside).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&place).status().unwrap().success());
        let command = if path == "archive.lock" {
            vec!["archive", "save", &archived.url, "--key", &archived.key]
        } else {
            vec!["archive", "verify", &archived.url, "--verifier", &archived.verifier]
        };
        let refused = archived.cli.fails(3, &command);
        assert!(refused.contains("it is no regular file"), "{path}: {refused}");
        fs::rename(&aside, &place).unwrap();
    }
    archived.verify();
}

#[test]
fn bad_addresses_are_refused_and_secrets_are_not_repeated() {
    let archived = Archived::new(1);
    for url in ["ftp://a/b", "archive", "s3://", "file://relative"] {
        let refused = archived.cli.fails(2, &["archive", "save", url, "--key", &archived.key]);
        assert!(refused.contains("s3://BUCKET/PREFIX"), "{refused}");
    }
    let refused = archived.cli.fails(2, &["archive", "save", "s3://id:hunter2@bucket/a", "--key", &archived.key]);
    assert!(!refused.contains("hunter2"), "{refused}");
    let nothing = format!("file://{}", archived.cli.dir().display());
    let refused = archived.cli.fails(2, &["archive", "verify", &nothing, "--verifier", &archived.verifier]);
    assert!(refused.contains("no checkpoint"), "{refused}");
}
