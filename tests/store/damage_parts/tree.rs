//! Damage to the stored hashes.

use crate::damage::bench::Bench;

#[test]
fn every_tree_row_is_compared_with_the_lines() {
    let bench = Bench::new();
    let mut statement = bench.hand.prepare("SELECT key, value FROM tree").unwrap();
    let rows: Vec<(Vec<u8>, Vec<u8>)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(|row| row.unwrap()).collect();
    assert!(rows.len() > 4);
    for (key, value) in &rows {
        let first = i64::from(key[8]) * 16 + 1;
        bench.change("DELETE FROM tree WHERE key = ?", [key]);
        assert!(bench.named().contains(&Some(if key[0] == 0 { first } else { 1 })), "group {key:?} is missing");
        bench.change("INSERT INTO tree VALUES (?, ?)", [key, value]);
        for (child, at) in (0..).zip((0..value.len()).step_by(32)) {
            let mut edited = value.clone();
            edited[at + 5] ^= 0x10;
            bench.change("UPDATE tree SET value = ? WHERE key = ?", [&edited, key]);
            let below = if key[0] == 0 { first + child } else { 1 + 16 * child };
            let named = bench.named();
            assert!(named.contains(&Some(below)), "child {child} of {key:?}: {named:?}");
        }
        for edited in [&value[..value.len() - 1], &value[..value.len() - 32], &[value, &value[..32]].concat()] {
            bench.change("UPDATE tree SET value = ? WHERE key = ?", [edited, key]);
            assert!(!bench.verify().unwrap().ok, "{} bytes for {}", edited.len(), value.len());
        }
        bench.change("UPDATE tree SET value = ? WHERE key = ?", [value, key]);
    }
    for bogus in [[0, 0, 0, 0, 0, 0, 0, 0, 9], [1, 0, 0, 0, 0, 0, 0, 0, 1], [7; 9]] {
        bench.change("INSERT INTO tree VALUES (?, ?)", [&bogus[..], &rows[0].1]);
        assert!(!bench.verify().unwrap().ok, "a group {bogus:?} of no events");
        bench.change("DELETE FROM tree WHERE key = ?", [bogus]);
    }
    assert!(bench.verify().unwrap().ok);
}
