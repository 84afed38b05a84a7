//! `key`, `checkpoint`, `prove`, and the proof in `show`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use std::fs;

use cli_support::TestCli;
use usage_ledger::merkle::{
    Checkpoint, ConsistencyProofText, Hash, InclusionProof, InclusionProofText, Note, Signer, Verifier,
};

fn recorded(calls: u32) -> TestCli {
    let cli = TestCli::new();
    let lines: Vec<String> = (1..=calls).map(|n| format!(r#"{{"provider":"openai","input":{n}}}"#)).collect();
    cli.ok_with_input(lines.join("\n"), &["record", "--jsonl", "-"]);
    cli
}

fn with_key(calls: u32) -> (TestCli, Verifier) {
    let cli = recorded(calls);
    let key = cli.ok(&["key", "generate", "--name", "usage-ledger.example/alice"]);
    (cli, key.trim_end().parse().unwrap())
}

fn hash(value: &serde_json::Value) -> Hash {
    value.as_str().unwrap().parse().unwrap()
}

#[cfg(unix)]
#[test]
fn a_key_file_is_private_outside_the_ledger_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let (cli, verifier) = with_key(1);
    let place = cli.dir().join(".config/usage-ledger/key");
    let kept = fs::read_to_string(&place).unwrap();
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(kept.trim_end().parse::<Signer>().unwrap().verifier(), &verifier);

    let stderr = cli.fails(2, &["key", "generate"]);
    assert!(stderr.contains("never overwritten"), "{stderr}");
    assert_eq!(fs::read_to_string(&place).unwrap(), kept);
    assert_eq!(cli.ok(&["key", "show"]), format!("{verifier}\n"));
    let shown = cli.json(&["key", "show"]);
    assert_eq!((&shown["schema"], &shown["name"]), (&1.into(), &"usage-ledger.example/alice".into()));
    assert!(!shown.to_string().contains("PRIVATE"));

    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
        for args in [&["key", "show"][..], &["checkpoint"], &["prove", "inclusion", "1"]] {
            let stderr = cli.fails(2, args);
            assert!(stderr.contains("chmod 600"), "{stderr}");
        }
    }
}

#[test]
fn the_ledger_contains_no_part_of_a_key() {
    let (cli, verifier) = with_key(3);
    cli.ok(&["checkpoint"]);
    cli.ok(&["prove", "inclusion", "2"]);
    let verifier = verifier.to_string();
    // Base64 may contain plus signs.
    let public = verifier.splitn(3, '+').nth(2).unwrap();
    let bytes = cli.bytes();
    for text in ["PRIVATE+KEY", "usage-ledger.example/alice", public] {
        assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text}");
    }
}

#[test]
fn signing_without_a_key_fails_with_a_remedy() {
    let cli = recorded(2);
    for args in [&["checkpoint"][..], &["prove", "inclusion", "1"], &["prove", "consistency", "1"], &["key", "show"]] {
        let stderr = cli.fails(2, args);
        assert!(stderr.contains("usage-ledger key generate"), "{stderr}");
    }
    for name in ["", "two words", "a+b"] {
        cli.fails(2, &["key", "generate", "--name", name]);
    }
    assert!(!cli.dir().join(".config").exists());
    // The default name of a key is that of its user.
    let key = cli.command().env("USER", "ada lovelace").args(["key", "generate"]).output().unwrap();
    assert!(key.stdout.starts_with(b"usage-ledger/adalovelace+"), "{key:?}");
    // A key next to the ledger causes a warning.
    let beside = cli.dir().join("key");
    let done = cli.command().args(["key", "generate"]).arg(&beside).assert().success();
    assert!(String::from_utf8_lossy(&done.get_output().stderr).contains("in the directory of the ledger"));
}

#[test]
fn a_checkpoint_signs_the_size_and_root_that_verify_reports() {
    let (cli, verifier) = with_key(20);
    let note: Note = cli.ok(&["checkpoint"]).parse().unwrap();
    let checkpoint = Checkpoint::open(&note, &verifier).unwrap();
    let audit = cli.json(&["verify"]);
    assert_eq!((checkpoint.size(), checkpoint.root()), (20, hash(&audit["root"])));
    let json = cli.json(&["checkpoint"]);
    assert_eq!((&json["size"], &json["root"]), (&20.into(), &audit["root"]));
    assert_eq!(json["note"].as_str().unwrap().parse::<Note>().unwrap(), note);

    let then: Note = cli.ok(&["--as-of", "7", "checkpoint"]).parse().unwrap();
    assert_eq!(Checkpoint::open(&then, &verifier).unwrap().size(), 7);

    // A newer checkpoint replaces an older one; no other file is overwritten.
    let file = cli.dir().join("kept");
    fs::write(&file, then.to_string()).unwrap();
    cli.ok(&["checkpoint", "--out", file.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&file).unwrap(), note.to_string());
    fs::write(&file, "my thesis\n").unwrap();
    cli.fails(2, &["checkpoint", "--out", file.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "my thesis\n");
}

#[test]
fn an_inclusion_proof_is_checked_with_the_line_and_the_key_alone() {
    let (cli, verifier) = with_key(20);
    let early = cli.dir().join("early");
    fs::write(&early, cli.ok(&["--as-of", "9", "checkpoint"])).unwrap();
    let lines = cli.ok(&["export"]);
    for (position, line) in (1..).zip(lines.lines()) {
        let number = position.to_string();
        let receipt: InclusionProofText = cli.ok(&["prove", "inclusion", &number]).parse().unwrap();
        assert_eq!(receipt.verify(line, &verifier).unwrap().size(), 20);
        assert!(receipt.verify(format!("{line} "), &verifier).is_err());
        let kept = ["prove", "inclusion", &number, "--checkpoint", early.to_str().unwrap()];
        if position <= 9 {
            let receipt: InclusionProofText = cli.ok(&kept).parse().unwrap();
            assert_eq!(receipt.verify(line, &verifier).unwrap().size(), 9);
        } else {
            assert!(cli.fails(2, &kept).contains("prove it with a later one"));
        }
    }
    let json = cli.json(&["prove", "inclusion", "3"]);
    assert_eq!((&json["position"], &json["index"], &json["size"]), (&3.into(), &2.into(), &20.into()));
    assert!(json["proof"].as_str().unwrap().starts_with("c2sp.org/tlog-proof@v1\nindex 2\n"));
    for position in ["0", "21", "nothing"] {
        cli.fails(2, &["prove", "inclusion", position]);
    }
}

#[test]
fn a_consistency_proof_accepts_sizes_or_checkpoints() {
    let (cli, verifier) = with_key(20);
    let files: Vec<String> = ["6", "13"]
        .iter()
        .map(|size| {
            let file = cli.dir().join(format!("at-{size}")).to_str().unwrap().to_owned();
            fs::write(&file, cli.ok(&["--as-of", size, "checkpoint"])).unwrap();
            file
        })
        .collect();
    let open = |text: String| Checkpoint::open(&text.parse().unwrap(), &verifier).unwrap();
    let old = open(fs::read_to_string(&files[0]).unwrap());
    for (args, size) in [
        (&["6"][..], 20),
        (&["6", "6"], 6),
        (&["6", "13"], 13),
        (&["6", &files[1]], 13),
        (&[&files[0]], 20),
        (&[&files[0], "13"], 13),
        (&[&files[0], &files[1]], 13),
    ] {
        let text = cli.ok(&[&["prove", "consistency"], args].concat());
        assert!(text.starts_with(&format!("usage-ledger/consistency@v1\nold 6\nnew {size}\n")), "{text}");
        let proof: ConsistencyProofText = text.parse().unwrap();
        assert_eq!(proof.to_string(), text);
        assert_eq!(proof.verify(&old, &verifier).unwrap().size(), size);
        let other = Checkpoint::new(old.origin(), 6, Hash::of_line("other")).unwrap();
        assert!(proof.verify(&other, &verifier).is_err());
    }
    let json = cli.json(&["prove", "consistency", "6", "13"]);
    assert_eq!((&json["old"]["size"], hash(&json["old"]["root"])), (&6.into(), old.root()));
    for args in [&["13", "6"][..], &["6", "21"], &["21"], &["/nonexistent"]] {
        cli.fails(2, &[&["prove", "consistency"], args].concat());
    }
}

#[test]
fn a_proof_can_be_checked_without_a_ledger() {
    let (cli, verifier) = with_key(20);
    let file = |name: &str, text: &str| {
        let path = cli.dir().join(name).to_str().unwrap().to_owned();
        fs::write(&path, text).unwrap();
        path
    };
    let key = verifier.to_string();
    let old = file("old", &cli.ok(&["--as-of", "6", "checkpoint"]));
    let inclusion = file("inclusion", &cli.ok(&["prove", "inclusion", "3"]));
    let consistency = file("consistency", &cli.ok(&["prove", "consistency", &old]));
    let lines = cli.ok(&["export"]);
    let [line, other] = [2, 3].map(|at| file(&format!("line-{at}"), &format!("{}\n", lines.lines().nth(at).unwrap())));
    fs::remove_file(cli.ledger()).unwrap();

    let check = ["prove", "check", "--verifier", &key];
    let included = cli.ok(&[&check[..], &[&inclusion, "--line", &line]].concat());
    assert!(
        included.starts_with("ok: the event is at position 3, of 20 events that usage-ledger.example/alice signed")
    );
    let continued = cli.ok(&[&check[..], &[&consistency, "--old", &old]].concat());
    assert!(continued.starts_with("ok: the first 6 events are as they were, of 20 events"), "{continued}");
    let json = cli.json(&[&check[..], &[&consistency, "--old", &old]].concat());
    assert_eq!((&json["schema"], &json["ok"], &json["size"]), (&1.into(), &true.into(), &20.into()));

    let elsewhere = cli.ok(&["key", "generate", cli.dir().join("other-key").to_str().unwrap()]);
    let theirs = ["prove", "check", "--verifier", elsewhere.trim_end()];
    for args in [
        [&check[..], &[&inclusion, "--line", &other]].concat(),
        [&theirs[..], &[&inclusion, "--line", &line]].concat(),
        [&theirs[..], &[&consistency, "--old", &old]].concat(),
    ] {
        assert!(cli.fails(1, &args).contains("not proven: "));
    }
    for args in [
        [&check[..], &[&inclusion]].concat(),
        [&check[..], &[&inclusion, "--old", &old]].concat(),
        [&check[..], &[&consistency, "--line", &line]].concat(),
        [&check[..], &["/nonexistent", "--line", &line]].concat(),
    ] {
        cli.fails(2, &args);
    }
}

#[test]
fn show_prints_the_path_to_the_root() {
    let cli = recorded(20);
    for position in [1_u64, 16, 17, 20] {
        let shown = cli.json(&["show", &position.to_string()]);
        let proof = &shown["proof"];
        let hashes = proof["hashes"].as_array().unwrap().iter().map(hash).collect();
        let inclusion = InclusionProof { position: position.into(), size: 20, hashes };
        assert_eq!((&proof["index"], &proof["size"]), (&(position - 1).into(), &20.into()));
        inclusion.verify(&hash(&shown["leaf"]), &hash(&proof["root"])).unwrap();
        let text = cli.ok(&["show", &position.to_string()]);
        assert!(text.contains(&format!("root     {} over 20 events\nproof    ", proof["root"].as_str().unwrap())));
    }
    let then = cli.json(&["--as-of", "5", "show", "3"]);
    assert_eq!(then["proof"]["size"], 5);
    assert_eq!(cli.json(&["--as-of", "1", "show", "1"])["proof"]["hashes"], serde_json::json!([]));
}

#[test]
fn a_verifier_is_a_public_key_or_a_file() {
    let (cli, verifier) = with_key(2);
    let [kept, public, secret] = ["kept", "verifier.pub", ".config/usage-ledger/key"].map(|name| cli.dir().join(name));
    let [kept_path, public_path, secret_path] = [&kept, &public, &secret].map(|path| path.to_str().unwrap());
    cli.ok(&["checkpoint", "--out", kept_path]);
    fs::write(&public, format!("{verifier}\n")).unwrap();
    for key in [&verifier.to_string(), public_path] {
        cli.ok(&["verify", "--checkpoint", kept_path, "--verifier", key]);
    }
    // A verifier alone checks the seals in the ledger.
    cli.ok(&["verify", "--verifier", public_path]);
    for args in [
        &["verify", "--checkpoint", kept_path][..],
        &["verify", "--checkpoint", "/nonexistent", "--verifier", public_path],
        &["verify", "--checkpoint", public_path, "--verifier", public_path],
        &["verify", "--checkpoint", kept_path, "--verifier", "/nonexistent"],
        &["--as-of", "1", "verify", "--checkpoint", kept_path, "--verifier", public_path],
    ] {
        cli.fails(2, args);
    }
    let stderr = cli.fails(2, &["verify", "--checkpoint", kept_path, "--verifier", secret_path]);
    assert!(stderr.contains("this is a secret key"), "{stderr}");
}

#[test]
fn signatures_of_a_replaced_key_are_checked_with_its_verifier() {
    let (cli, old) = with_key(20);
    let file = |name: &str, text: &str| {
        let path = cli.dir().join(name).to_str().unwrap().to_owned();
        fs::write(&path, text).unwrap();
        path
    };
    let first = file("first", &cli.ok(&["--as-of", "6", "checkpoint"]));
    cli.ok(&["--now", "2030-01-01T00:00:00Z", "seal", "--until", "2029-01"]);
    fs::remove_file(cli.dir().join(".config/usage-ledger/key")).unwrap();
    let new = cli.ok(&["key", "generate", "--name", "usage-ledger.example/alice"]);
    let second = file("second", &cli.ok(&["checkpoint"]));
    let continued = file("proof", &cli.ok(&["prove", "consistency", &first]));
    let (old, new) = (old.to_string(), new.trim_end());
    cli.ok(&["verify", "--checkpoint", &first, &second, "--verifier", &old, "--verifier", new]);
    cli.ok(&["prove", "check", &continued, "--old", &first, "--verifier", &old, "--verifier", new]);
    let one = cli.command().args(["verify", "--checkpoint", &second, "--verifier", new]).output().unwrap();
    let stdout = String::from_utf8(one.stdout).unwrap();
    assert_eq!(one.status.code(), Some(1));
    assert!(stdout.contains("position 21: the seal proves nothing"), "{stdout}");
    cli.fails(1, &["prove", "check", &continued, "--old", &first, "--verifier", new]);
    // A file that is not such a proof is named.
    assert!(cli.fails(2, &["prove", "check", &first, "--old", &first, "--verifier", &old]).contains(&first));
}

#[test]
fn a_damaged_ledger_is_not_signed() {
    let edits = [
        "UPDATE events SET body = replace(body, '20', '21') WHERE position = 20",
        "DELETE FROM events WHERE position > 18",
    ];
    for edit in edits {
        let (cli, _) = with_key(20);
        let store = rusqlite::Connection::open(cli.ledger()).unwrap();
        store.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        assert!(store.execute(edit, []).unwrap() > 0);
        drop(store);
        for args in [&["checkpoint"][..], &["--now", "2030-01-01T00:00:00Z", "seal", "--until", "2029-01"]] {
            let stderr = cli.fails(3, args);
            assert!(
                stderr.contains("damaged at position") && stderr.contains("usage-ledger verify"),
                "{edit}: {stderr}"
            );
        }
    }
}
