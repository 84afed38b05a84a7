//! Damage to the projections, row by row.

use usage_ledger::Verification;
use usage_ledger::store::Table;

use crate::damage::bench::{Bench, FOLDED, place, sound};

/// Whether a finding names an event that contributes to a row, and no finding of its table names another.
fn names_a_part(verified: &Verification, table: Table, key: &[u8]) -> bool {
    let parts = &sound().parts[&(table, key.to_vec())];
    let about = verified.findings.iter().filter(|finding| finding.what.starts_with(table.name()));
    let named: Vec<i64> = about.filter_map(place).collect();
    !named.is_empty() && named.iter().all(|at| parts.contains(at))
}

/// A way to damage a row; false if nothing can be changed.
type Change = fn(&Bench, Table, &[u8], &[u8]) -> bool;

/// Changes each row of the projections in turn and restores it; each change is a finding. Returns the findings that do
/// not name a contributing event.
fn each_row(change: Change) -> Vec<String> {
    let bench = Bench::new();
    let mut unnamed = Vec::new();
    for ((table, key), value) in &sound().rows {
        if !change(&bench, *table, key, value) {
            continue;
        }
        let verified = bench.verify().unwrap();
        assert!(!verified.ok, "{} {key:?}: not found", table.name());
        if !names_a_part(&verified, *table, key) {
            let parts = &sound().parts[&(*table, key.clone())];
            unnamed.push(format!("{} {parts:?}: {:?}", table.name(), verified.findings));
        }
        // The message is readable, whatever bytes the row's key has.
        let words = |what: &str| !what.contains("..") && !what.chars().any(char::is_control);
        assert!(verified.findings.iter().all(|finding| words(&finding.what)), "{:?}", verified.findings);
        let table = table.name();
        bench.hand.execute(&format!("DELETE FROM {table} WHERE key = ?"), [key]).unwrap();
        bench.change(&format!("INSERT INTO {table} VALUES (?, ?)"), [key, value]);
    }
    assert!(bench.verify().unwrap().ok, "all rows are back in their places");
    unnamed
}

/// A valid value of another row of the table.
fn other_value(bench: &Bench, table: Table, key: &[u8], value: &[u8]) -> bool {
    let Some((_, other)) = sound().rows.iter().find(|((s, _), v)| *s == table && *v != value) else { return false };
    bench.change(&format!("UPDATE {} SET value = ? WHERE key = ?", table.name()), [&other[..], key]);
    true
}

fn one_bit(bench: &Bench, table: Table, key: &[u8], value: &[u8]) -> bool {
    let mut edited = value.to_vec();
    match edited.last_mut() {
        Some(last) => *last ^= 1,
        None => edited.push(1),
    }
    bench.change(&format!("UPDATE {} SET value = ? WHERE key = ?", table.name()), [&edited[..], key]);
    true
}

fn removal(bench: &Bench, table: Table, key: &[u8], _: &[u8]) -> bool {
    bench.change(&format!("DELETE FROM {} WHERE key = ?", table.name()), [key]);
    true
}

#[test]
fn an_edited_or_missing_projection_row_is_a_finding() {
    for change in [other_value, one_bit, removal] {
        each_row(change);
    }
}

#[test]
fn a_finding_about_a_row_names_an_event_that_contributes_to_it() {
    for change in [other_value, one_bit, removal] {
        let unnamed = each_row(change);
        assert!(unnamed.is_empty(), "{} rows have no event of theirs named:\n{}", unnamed.len(), unnamed.join("\n"));
    }
}

#[test]
fn an_extra_projection_row_is_a_finding() {
    for table in FOLDED {
        let ((_, key), value) = sound().rows.iter().find(|((s, _), _)| *s == table).unwrap();
        let longer = [&key[..], b"x\0"].concat();
        let mut other = key.clone();
        *other.last_mut().unwrap() ^= 0x40;
        for key in [longer, other, Vec::new(), vec![0xff; 20]] {
            let bench = Bench::new();
            bench.change(&format!("INSERT INTO {} VALUES (?, ?)", table.name()), [&key[..], value]);
            let verified = bench.verify().unwrap();
            let about = verified.findings.iter().any(|finding| finding.what.starts_with(table.name()));
            assert!(!verified.ok && about, "{} {key:?}: {:?}", table.name(), verified.findings);
        }
    }
}

#[test]
fn a_counter_too_large_to_add_up_is_a_finding() {
    let bench = Bench::new();
    let quarters = sound().rows.iter().find(|((table, _), value)| *table == Table::ByModel && value[0] > 1).unwrap();
    // Two quarters of 2^62 requests each, and a day's sum of one.
    let most: [u8; 10] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40, 0];
    let value = [&[2_u8, 1, 0, 3][..], &most, &[4], &most].concat();
    bench.change("UPDATE usage_by_model SET value = ? WHERE key = ?", [&value[..], &quarters.0.1]);
    let verified = bench.verify().unwrap();
    assert!(!verified.ok);
}

/// The number at the beginning of bytes: seven bits per byte, the least significant first.
fn varint(bytes: &[u8]) -> (u64, &[u8]) {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let number = bytes[..length].iter().rev().fold(0, |number, byte| (number << 7) | u64::from(byte & 0x7f));
    (number, &bytes[length..])
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap());
}

/// The instants of a chunk: the step from the previous one, and the bytes of the counts.
fn uses(mut value: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut uses = Vec::new();
    while !value.is_empty() {
        let (step, mut rest) = varint(value);
        let counts = rest;
        (_, rest) = varint(rest);
        let (mask, mut rest) = rest.split_first().unwrap();
        // One count per bit; the highest bit is a cost, which takes three numbers.
        for _ in 0..(mask & 0x7f).count_ones() + 3 * u32::from(mask >> 7) {
            (_, rest) = varint(rest);
        }
        uses.push((step, counts[..counts.len() - rest.len()].to_vec()));
        value = rest;
    }
    uses
}

fn chunk(uses: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut value = Vec::new();
    for (step, counts) in uses {
        put_varint(&mut value, *step);
        value.extend_from_slice(counts);
    }
    value
}

#[test]
fn usage_instants_in_the_wrong_chunk_are_a_finding() {
    // All sums stay the same; only lookups of an instant fail.
    let account = b"anthropic\0\0";
    let of_account: Vec<_> =
        sound().rows.iter().filter(|((s, key), _)| *s == Table::UsageInstants && key.starts_with(account)).collect();
    let pair = of_account.windows(2).find(|pair| uses(pair[1].1).len() > 1).unwrap();
    let [first, second] = [pair[0], pair[1]].map(|((_, key), value)| (key, uses(value)));
    let start = |key: &[u8]| u64::from_be_bytes(key[key.len() - 8..].try_into().unwrap());
    let gap = start(second.0) - start(first.0) - first.1.iter().map(|(step, _)| step).sum::<u64>();

    let mut moved = first.1;
    let mut rest = second.1;
    let mut others = rest.split_off(1);
    others[0].0 += gap;
    moved.extend(others);
    let bench = Bench::new();
    bench.change("UPDATE uses SET value = ? WHERE key = ?", [&chunk(&moved), first.0]);
    bench.change("UPDATE uses SET value = ? WHERE key = ?", [&chunk(&rest), second.0]);
    assert!(!bench.verify().unwrap().ok);
}

#[test]
fn a_usage_instant_without_tokens_is_a_finding() {
    // It changes no sum, but a window would open with it.
    let ((_, key), value) = sound().rows.iter().find(|((table, _), _)| *table == Table::UsageInstants).unwrap();
    for step in 1..5 {
        let mut uses = uses(value);
        uses.push((step, vec![0, 0]));
        let bench = Bench::new();
        bench.change("UPDATE uses SET value = ? WHERE key = ?", [&chunk(&uses), key]);
        assert!(!bench.verify().unwrap().ok, "{step} ms behind the last use");
    }
}

#[test]
fn an_empty_quarter_hour_is_a_finding() {
    let one = |value: &[u8]| value[0] == 1 && value[1] < 95;
    let ((_, key), value) = sound().rows.iter().find(|((s, _), v)| *s == Table::ByModel && one(v)).unwrap();
    let counts = &value[2..];
    let edited = [&[2][..], counts, &[value[1]], counts, &[value[1] + 1, 0, 0]].concat();
    let bench = Bench::new();
    bench.change("UPDATE usage_by_model SET value = ? WHERE key = ?", [&edited, key]);
    assert!(!bench.verify().unwrap().ok);
}
