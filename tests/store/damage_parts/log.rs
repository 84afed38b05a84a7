//! Damage to the log: bodies, columns, missing and foreign rows.

use std::collections::BTreeSet;

use rusqlite::params;
use usage_ledger::{Error, Ledger};

use crate::damage::bench::{Bench, events, id, place, sound, start};

/// Changes the log of a file with one statement and checks that `verify` names these positions.
fn finds(sql: &str, positions: &[i64]) {
    let bench = Bench::new();
    bench.change(sql, []);
    let named = bench.named();
    for position in positions {
        assert!(named.contains(&Some(*position)), "{sql}: findings name {named:?}, not {position}");
    }
}

#[test]
fn an_edited_body_is_a_finding_at_any_position() {
    let bench = Bench::new();
    for position in 1..=sound().size {
        let body = bench.body(position);
        // A changed number, a changed letter, and invalid JSON.
        let edits = [
            body.replacen("\"source\":\"library\"", "\"source\":\"another\"", 1),
            body.replacen("2026-06-1", "2026-06-2", 1),
            body.replacen("tokens", "token5", 1),
            body[1..].to_owned(),
            String::new(),
        ];
        for edit in edits.iter().filter(|edit| **edit != body) {
            bench.change("UPDATE events SET body = ? WHERE position = ?", params![edit, position]);
            match bench.verify() {
                Ok(found) => {
                    let named = found.findings.iter().any(|finding| place(finding) == Some(position));
                    assert!(!found.ok && named, "position {position} as {edit}: {:?}", found.findings);
                }
                Err(Error::UnknownEvent { position: at, .. }) => {
                    assert_eq!(at.get(), position.unsigned_abs(), "{edit}")
                }
                Err(other) => panic!("position {position} as {edit}: no finding but {other}"),
            }
        }
        bench.change("UPDATE events SET body = ? WHERE position = ?", params![body, position]);
    }
    assert!(bench.verify().unwrap().ok);
}

#[test]
fn two_swapped_bodies_are_a_finding() {
    let bench = Bench::new();
    let (one, other) = (bench.body(17), bench.body(18));
    bench.change("UPDATE events SET body = ? WHERE position = 17", [other]);
    bench.change("UPDATE events SET body = ? WHERE position = 18", [one]);
    let named = bench.named();
    assert!(named.contains(&Some(17)) && named.contains(&Some(18)), "{named:?}");
}

#[test]
fn a_column_that_differs_from_the_line_is_a_finding() {
    finds("UPDATE events SET id = randomblob(16) WHERE position = 9", &[9]);
    finds("UPDATE events SET kind = 3 WHERE position = 9", &[9]);
    finds("UPDATE events SET kind = 0 WHERE position = 13", &[13]);
    finds("UPDATE events SET occurred_at = occurred_at - 86400000 WHERE position = 21", &[21]);
    finds("UPDATE events SET recorded_at = recorded_at - 1 WHERE position = 1", &[1]);
    finds("UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 70", &[70]);
    finds("UPDATE events SET id = x'00' WHERE position = 5", &[5]);
}

#[test]
fn two_swapped_ids_are_a_finding() {
    let bench = Bench::new();
    let id = |n: i64| id(n).as_bytes().to_vec();
    bench.change("UPDATE events SET id = x'ff' WHERE position = 30", []);
    bench.change("UPDATE events SET id = ? WHERE position = 31", [id(30)]);
    bench.change("UPDATE events SET id = ? WHERE position = 30", [id(31)]);
    let named = bench.named();
    assert!(named.contains(&Some(30)) && named.contains(&Some(31)), "{named:?}");
}

#[test]
fn a_cut_tail_of_any_length_is_a_finding() {
    let bench = Bench::new();
    for last in (1..=sound().size).rev() {
        bench.change("DELETE FROM events WHERE position = ?", [last]);
        let named = bench.named();
        assert!(named.contains(&Some(last)), "cut at {last}: {named:?}");
    }
}

#[test]
fn a_tail_cut_with_its_hashes_is_a_finding_by_the_projections() {
    // The tree of a shorter ledger replaces that of the longer one.
    let size = sound().size - 3;
    let bench = Bench::new();
    let short = bench.path.with_file_name("short.db");
    let first = events().into_iter().take(usize::try_from(size).unwrap());
    Ledger::open(&short).unwrap().append(first, start()).unwrap();
    bench.change("DELETE FROM events WHERE position > ?", [size]);
    bench.hand.execute("ATTACH ? AS short", [short.to_str().unwrap()]).unwrap();
    bench.hand.execute_batch("DELETE FROM tree; INSERT INTO tree SELECT * FROM short.tree; DETACH short;").unwrap();
    let verified = bench.verify().unwrap();
    assert!(!verified.ok);
}

#[test]
fn a_missing_or_moved_row_is_a_finding() {
    for position in [1, 2, 16, 17, 41, 69] {
        finds(&format!("DELETE FROM events WHERE position = {position}"), &[position]);
    }
    // With the gap closed.
    let bench = Bench::new();
    bench.change("DELETE FROM events WHERE position = 20", []);
    for position in 21..=sound().size {
        bench.change("UPDATE events SET position = ?1 - 1 WHERE position = ?1", [position]);
    }
    assert!(bench.named().contains(&Some(20)));
}

#[test]
fn a_row_that_was_never_appended_is_a_finding() {
    let copy = |position: i64| {
        let bench = Bench::new();
        bench.change(
            "INSERT INTO events SELECT ?, randomblob(16), kind, occurred_at, recorded_at, body FROM events WHERE position = 1",
            [position],
        );
        let verified = bench.verify().unwrap();
        assert!(!verified.ok, "a row at {position}");
        verified.findings.iter().map(place).collect::<BTreeSet<_>>()
    };
    let next = sound().size + 1;
    assert!(copy(next).contains(&Some(next)));
    copy(i64::MAX);
    copy(0);
    copy(-5);
}
