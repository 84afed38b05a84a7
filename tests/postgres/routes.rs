//! Every statement of a ledger names its id for each table that it touches, so that a distributed database sends it to one
//! node.

use std::process::Command;

use usage_ledger::store::PostgresStore;

use crate::cluster::Cluster;
use crate::commands::{COMMANDS, run};
use crate::proxy::Proxy;

const CITUS: &str = include_str!("../../src/store/postgres/citus.sql");
/// Tables with rows of ledgers.
const TABLES: [&str; 4] = ["heads", "events", "projections", "settings"];
const PARTS: usize = 4;

/// Statements that are about no single ledger.
const EXCEPTIONS: [&str; 3] = [
    // `shards list`
    "FROM usage_ledger.heads h ORDER BY ledger_id",
    // After a shredding.
    "VACUUM (FULL) usage_ledger.events",
    "VACUUM (FULL) usage_ledger.projections",
];

/// The tables of a statement without a condition on the ledger.
fn unrouted(sql: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in sql.match_indices("usage_ledger.") {
        let (before, rest) = (&sql[..at], &sql[at + "usage_ledger.".len()..]);
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (table, after) = rest.split_at(end);
        // A name in quotes asks a catalogue.
        if before.ends_with('\'') || !TABLES.contains(&table) {
            continue;
        }
        if before.ends_with("INSERT INTO ") {
            let given = after.starts_with(" (ledger_id,") || after.starts_with(" (ledger_id)");
            if !given || !(after.contains("VALUES ($1") || after.contains("SELECT $1,")) {
                found.push(table);
            }
            continue;
        }
        let alias: String = after.trim_start().chars().take_while(|c| c.is_alphanumeric()).collect();
        let named = alias.chars().next().is_some_and(char::is_lowercase);
        let condition = if named { format!("{alias}.ledger_id = $1") } else { "ledger_id = $1".to_owned() };
        if !sql.contains(&condition) {
            found.push(table);
        }
    }
    found
}

pub fn statements(cluster: &Cluster) {
    assert_eq!(unrouted("SELECT 1 FROM usage_ledger.events WHERE position = $1"), ["events"]);
    assert_eq!(unrouted("UPDATE usage_ledger.events e SET body = $2 WHERE ledger_id = $1"), ["events"]);
    assert_eq!(unrouted("INSERT INTO usage_ledger.events (ledger_id, id) SELECT r.* FROM r"), ["events"]);
    cluster.create_database("routed");
    let name = "routed";
    let (direct, proxy) = (cluster.address_as("admin", "routed", name), Proxy::to(cluster.port));
    drop(PostgresStore::open(&direct.parse().unwrap()).unwrap());
    // The same tables in partitions by the hash of the ledger.
    for table in TABLES {
        let parts: Vec<String> = (0..PARTS)
            .map(|part| {
                let values = format!("FOR VALUES WITH (MODULUS {PARTS}, REMAINDER {part})");
                format!("CREATE TABLE usage_ledger.{table}_{part} PARTITION OF usage_ledger.{table} {values};")
            })
            .collect();
        let sql = format!(
            "ALTER TABLE usage_ledger.{table} RENAME TO whole; \
             CREATE TABLE usage_ledger.{table} (LIKE usage_ledger.whole INCLUDING ALL) PARTITION BY HASH (ledger_id); {} \
             INSERT INTO usage_ledger.{table} SELECT * FROM usage_ledger.whole; DROP TABLE usage_ledger.whole",
            parts.concat()
        );
        cluster.sql("routed", &sql);
    }
    let part =
        cluster.sql("routed", &format!("SELECT tableoid::regclass FROM usage_ledger.heads WHERE ledger_id = '{name}'"));
    let part = part.rsplit('_').next().unwrap().to_owned();
    cluster.sql("routed", "SELECT pg_stat_reset()");
    let home = tempfile::tempdir().unwrap();
    let address = format!("postgres://admin@127.0.0.1:{}/routed?ledger={name}", proxy.port);
    for (arguments, code) in COMMANDS.iter().filter(|(arguments, _)| arguments.first() != Some(&"shred")) {
        let done = run(&address, home.path(), arguments);
        let text = String::from_utf8_lossy(&done.stderr);
        assert!(*code == -1 || done.status.code() == Some(*code), "{arguments:?}: {text}");
    }
    // The counters of a session reach the statistics when it ends.
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usage-ledger' AND datname = 'routed'";
    while cluster.sql("routed", open) != "0" {
        std::thread::yield_now();
    }
    let used = "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'usage_ledger' AND relname ~ '_[0-9]$' \
        AND seq_scan + coalesce(idx_scan, 0) + n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY relname";
    let used = cluster.sql("routed", used);
    let own: Vec<String> = ["events", "heads", "projections"].map(|table| format!("{table}_{part}")).into();
    assert_eq!(used.lines().collect::<Vec<_>>(), own, "partitions of other ledgers were read or written");
    // What remains is a shredding.
    assert_eq!(run(&address, home.path(), &["shred", "2", "--reason", "asked for"]).status.code(), Some(0));
    let statements = proxy.statements();
    let of_ledgers =
        statements.iter().filter(|sql| TABLES.iter().any(|table| sql.contains(&format!("usage_ledger.{table}"))));
    let mut count = 0;
    for sql in of_ledgers {
        count += 1;
        let tables = unrouted(sql);
        assert!(tables.is_empty() || EXCEPTIONS.iter().any(|known| sql.contains(known)), "{tables:?}: {sql}");
    }
    assert!(count > 15, "{count} statements: {statements:?}");
}

pub fn citus(cluster: &Cluster) {
    cluster.create_database("distributed");
    drop(PostgresStore::open(&cluster.fresh("distributed").parse().unwrap()).unwrap());
    let tables =
        cluster.sql("distributed", "SELECT tablename FROM pg_tables WHERE schemaname = 'usage_ledger' ORDER BY 1");
    let expected: Vec<&str> = tables.lines().filter(|table| *table != "migrations").collect();
    // Every unique key begins with the id of the ledger, because a node checks its own rows alone.
    let foreign = "SELECT i.indexrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0] \
        WHERE c.relnamespace = 'usage_ledger'::regnamespace AND i.indisunique AND a.attname <> 'ledger_id' AND c.relname <> 'migrations'";
    assert_eq!(cluster.sql("distributed", foreign), "");
    // What Citus would have of its functions, so that the file runs.
    cluster.sql(
        "distributed",
        "CREATE TABLE pg_dist_partition (logicalrelid regclass, by text, colocated text); CREATE TABLE distributed (name regprocedure, by text); \
         CREATE FUNCTION create_distributed_table(name regclass, by text, colocate_with text DEFAULT 'none') RETURNS void LANGUAGE sql \
         AS 'INSERT INTO pg_dist_partition VALUES ($1, $2, $3)'; \
         CREATE FUNCTION create_distributed_function(name regprocedure, by text, colocate_with text) RETURNS void LANGUAGE sql \
         AS 'INSERT INTO distributed VALUES ($1, $2)'",
    );
    for _ in 0..2 {
        cluster.sql("distributed", CITUS);
    }
    let list =
        "SELECT logicalrelid || ' ' || by || ' ' || colocated FROM pg_dist_partition ORDER BY logicalrelid::text";
    let distributed = cluster.sql("distributed", list);
    let expected: Vec<String> = expected
        .iter()
        .map(|table| {
            let with = if *table == "heads" { "none" } else { "usage_ledger.heads" };
            format!("usage_ledger.{table} ledger_id {with}")
        })
        .collect();
    assert_eq!(distributed.lines().collect::<Vec<_>>(), expected);
    let functions = "SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace = 'usage_ledger'::regnamespace \
        AND NOT EXISTS (SELECT FROM distributed WHERE name = p.oid AND by = p.proargnames[1])";
    assert_eq!(cluster.sql("distributed", functions), "");
    let printed =
        Command::new(assert_cmd::cargo::cargo_bin!("usage-ledger")).args(["shards", "citus"]).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), CITUS);
}
