//! Any bit of any cell.

use proptest::prelude::*;
use rusqlite::params;
use usage_ledger::Error;
use usage_ledger::store::Table;

use crate::damage::bench::{Bench, FOLDED, place};

/// A cell of the file that holds bytes.
#[derive(Clone, Debug)]
struct Cell {
    table: &'static str,
    column: &'static str,
}

fn cell() -> impl Strategy<Value = Cell> {
    let columns = ["key", "value"];
    let rows =
        FOLDED.into_iter().chain([Table::Tree]).flat_map(move |table| columns.map(|column| (table.name(), column)));
    let mut cells: Vec<Cell> = rows.map(|(table, column)| Cell { table, column }).collect();
    cells.extend(["body", "body", "body", "body", "id"].map(|column| Cell { table: "events", column }));
    prop::sample::select(cells)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(120),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// One bit of one cell: found, or unreadable, and never passed over.
    #[test]
    fn every_flipped_bit_is_a_finding_or_harmless(cell in cell(), row in any::<prop::sample::Index>(), bit in any::<prop::sample::Index>()) {
        let bench = Bench::new();
        let Cell { table, column } = cell;
        let rows: i64 = bench.hand.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        let order = if table == "events" { "position" } else { "key" };
        let at = i64::try_from(row.index(usize::try_from(rows).unwrap())).unwrap();
        let (place_in_table, mut bytes): (rusqlite::types::Value, Vec<u8>) = bench
            .hand
            .query_row(
                &format!("SELECT {order}, CAST({column} AS BLOB) FROM {table} ORDER BY {order} LIMIT 1 OFFSET {at}"),
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        prop_assume!(!bytes.is_empty());
        let bit = bit.index(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        let kind = if column == "body" { "TEXT" } else { "BLOB" };
        let changed = bench.hand.execute(
            &format!("UPDATE {table} SET {column} = CAST(?1 AS {kind}) WHERE {order} = ?2"),
            params![bytes, place_in_table],
        );
        prop_assume!(changed.is_ok()); // a key that is there already is refused by the database itself
        match bench.verify() {
            Ok(verified) => {
                prop_assert!(!verified.ok, "bit {} of {} in {} {:?}", bit, column, table, place_in_table);
                if table == "events" {
                    let position = Some(at + 1);
                    let named = verified.findings.iter().any(|finding| place(finding) == position);
                    prop_assert!(named, "position {:?} is not among {:?}", position, verified.findings);
                }
            }
            Err(Error::UnknownEvent { position, .. }) => prop_assert_eq!(position.get(), (at + 1).unsigned_abs()),
            Err(other) => prop_assert!(false, "no finding but {}", other),
        }
    }
}
