//! Roles and row-level security: what each may do, and what it cannot.

use usage_ledger::store::{EventStore, PostgresStore, Row};
use usage_ledger::{Error, EventId, Ledger, Shred, Timestamp, TokenRecord};

use crate::DATABASE;
use crate::cluster::Cluster;

fn now() -> Timestamp {
    Timestamp::from_millis(1_780_308_000_000)
}

fn open(address: &str) -> Result<Ledger, Error> {
    Ok(Ledger::with_store(Box::new(PostgresStore::open(&address.parse()?)?)))
}

fn call(n: u64) -> TokenRecord {
    TokenRecord::new("openai", "gpt-5").input(n).key(n.to_string())
}

/// A ledger with a record, and a user with a role in it.
fn ledger_with_user(cluster: &Cluster, role: &str) -> (String, String) {
    ledger_with_user_in(cluster, DATABASE, role)
}

fn ledger_with_user_in(cluster: &Cluster, database: &str, role: &str) -> (String, String) {
    let name = cluster.fresh_name();
    open(&cluster.address_as("admin", database, &name)).unwrap().record(call(1), now()).unwrap();
    let user = format!("{role}_{name}");
    cluster.sql(
        database,
        &format!("CREATE ROLE {user} LOGIN; GRANT usage_ledger_{role}, \"usage_ledger_of_{name}\" TO {user}"),
    );
    (name, user)
}

pub fn writer(cluster: &Cluster) {
    let (own, user) = ledger_with_user(cluster, "writer");
    let (other, _) = ledger_with_user(cluster, "reader");
    let ledger = open(&cluster.address_as(&user, DATABASE, &own)).unwrap();
    ledger.record(call(2), now()).unwrap();
    assert_eq!(ledger.verify().unwrap().findings, []);

    let sql = |sql: &str| cluster.sql_as(&user, DATABASE, sql);
    for refused in [
        "UPDATE usage_ledger.events SET body = 'x' WHERE position = 1",
        "DELETE FROM usage_ledger.events WHERE position = 1",
        "TRUNCATE usage_ledger.events",
        "DELETE FROM usage_ledger.heads",
        "ALTER TABLE usage_ledger.events DISABLE ROW LEVEL SECURITY",
        "DROP TABLE usage_ledger.events",
        "CREATE TRIGGER t BEFORE INSERT ON usage_ledger.events FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "SET ROLE usage_ledger_owner",
        &format!("SET ROLE \"usage_ledger_of_{other}\""),
        &format!("INSERT INTO usage_ledger.events VALUES ('{other}', 9, gen_random_uuid(), 0, 0, 0, '{{}}')"),
        &format!("INSERT INTO usage_ledger.projections VALUES ('{other}', 'facts', 'k', 'v')"),
        &format!("INSERT INTO usage_ledger.heads VALUES ('{other}x')"),
        &format!("UPDATE usage_ledger.events SET ledger_id = '{other}'"),
        &format!("UPDATE usage_ledger.projections SET ledger_id = '{other}'"),
        // A position that is taken.
        &format!("INSERT INTO usage_ledger.events VALUES ('{own}', 1, gen_random_uuid(), 0, 0, 0, '{{}}')"),
    ] {
        assert!(sql(refused).is_err(), "a writer may: {refused}");
    }
    // Another ledger does not exist for this user.
    let count = |of: &str| sql(&format!("SELECT count(*) FROM usage_ledger.events WHERE ledger_id = '{of}'")).unwrap();
    assert_eq!((count(&own).as_str(), count(&other).as_str()), ("2", "0"));
    for table in ["heads", "projections"] {
        let (rows, all) = (
            sql(&format!("SELECT count(*) FROM usage_ledger.{table} WHERE ledger_id <> '{own}'")).unwrap(),
            cluster
                .sql(DATABASE, &format!("SELECT count(*) > 0 FROM usage_ledger.{table} WHERE ledger_id = '{other}'")),
        );
        assert_eq!((rows.as_str(), all.as_str()), ("0", "t"));
        let changed = sql(&format!(
            "WITH d AS (UPDATE usage_ledger.{table} SET ledger_id = ledger_id WHERE ledger_id = '{other}' RETURNING 1) SELECT count(*) FROM d"
        ));
        assert_eq!(changed.unwrap(), "0");
    }
    let refused = open(&cluster.address_as(&user, DATABASE, &other)).and_then(|ledger| ledger.record(call(3), now()));
    assert!(matches!(refused, Err(Error::ReadOnly { .. } | Error::Store { .. })), "{refused:?}");
    assert_eq!(open(&cluster.address_as("admin", DATABASE, &other)).unwrap().head().unwrap().position.get(), 1);
}

pub fn readers(cluster: &Cluster) {
    let (own, reader) = ledger_with_user(cluster, "reader");
    let ledger = open(&cluster.address_as(&reader, DATABASE, &own)).unwrap();
    assert_eq!(ledger.verify().unwrap().findings, []);
    let refused = ledger.record(call(2), now()).unwrap_err();
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused}");
    let sql = |sql: &str| cluster.sql_as(&reader, DATABASE, sql);
    assert!(sql("INSERT INTO usage_ledger.projections VALUES ('x', 'facts', 'k', 'v')").is_err());
    assert!(sql("UPDATE usage_ledger.heads SET position = 0").is_err());

    // An auditor reads every ledger, without being a member of one.
    let auditor = format!("auditor_{own}");
    cluster.sql(DATABASE, &format!("CREATE ROLE {auditor} LOGIN; GRANT usage_ledger_auditor TO {auditor}"));
    let ledger = open(&cluster.address_as(&auditor, DATABASE, &own)).unwrap();
    assert_eq!(ledger.verify().unwrap().findings, []);
    assert!(matches!(ledger.record(call(2), now()).unwrap_err(), Error::ReadOnly { .. }));
}

pub fn shred(cluster: &Cluster) {
    // A database of its own, because erasing rewrites the tables of all ledgers.
    const DATABASE: &str = "erased";
    cluster.create_database(DATABASE);
    let (own, user) = ledger_with_user_in(cluster, DATABASE, "writer");
    let store = PostgresStore::open(&cluster.address_as(&user, DATABASE, &own).parse().unwrap()).unwrap();
    let mut tx = store.write().unwrap();
    let id = EventId::from_key("p", "word");
    tx.append(&[Row { id, kind: 15, occurred_at: now(), recorded_at: now(), body: "{}" }]).unwrap();
    tx.shred(1.into(), "{\"shredded\":1}").unwrap();
    let refused = tx.commit().unwrap_err();
    assert!(matches!(refused, Error::ReadOnly { .. }), "{refused}");
    assert_eq!(store.read().unwrap().head().unwrap().position.get(), 1);
    assert!(matches!(store.erase().unwrap_err(), Error::NotErased { .. }));

    let out = assert_cmd::Command::cargo_bin("usage-ledger")
        .unwrap()
        .args(["--ledger", &cluster.address_as("admin", DATABASE, &own), "shred", "1", "--reason", "asked for"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let body = cluster.sql(
        DATABASE,
        &format!(
            "SELECT convert_from(body, 'UTF8') FROM usage_ledger.events WHERE ledger_id = '{own}' AND position = 1"
        ),
    );
    assert!(body.contains("shredded"), "{body}");
    assert_eq!(open(&cluster.address_as("admin", DATABASE, &own)).unwrap().verify().unwrap().findings, []);
}

/// A server writes every ledger, and adds ledgers. It cannot change the log, and a line can only become its own tombstone.
pub fn server(cluster: &Cluster) {
    const DATABASE: &str = "served";
    cluster.create_database(DATABASE);
    let (own, _) = ledger_with_user_in(cluster, DATABASE, "reader");
    cluster.sql(DATABASE, "CREATE ROLE of_server LOGIN; GRANT usage_ledger_server TO of_server");
    let new = cluster.fresh_name();
    let ledger = open(&cluster.address_as("of_server", DATABASE, &new)).unwrap();
    ledger.record(call(1), now()).unwrap();
    let id = ledger.event(1).unwrap().id;
    open(&cluster.address_as("of_server", DATABASE, &own)).unwrap().record(call(2), now()).unwrap();
    let sql = |sql: &str| cluster.sql_as("of_server", DATABASE, sql);
    let leaf =
        sql("SELECT encode(sha256('\\x00'::bytea || body), 'hex') FROM usage_ledger.events WHERE position = 1 LIMIT 1")
            .unwrap();
    let other = "00".repeat(32);
    for refused in [
        "UPDATE usage_ledger.events SET body = 'x' WHERE position = 1",
        "DELETE FROM usage_ledger.events WHERE position = 1",
        "TRUNCATE usage_ledger.events",
        "DELETE FROM usage_ledger.heads",
        "DROP FUNCTION usage_ledger.erase",
        "SET ROLE usage_ledger_owner",
        &format!("SELECT usage_ledger.erase('{new}', '{{1}}', '{{x}}')"),
        &format!(
            "SELECT usage_ledger.erase('{new}', '{{9}}', ARRAY['{{\"shredded\":9,\"leaf\":\"{leaf}\",\"by\":2'::bytea])"
        ),
        &format!(
            "SELECT usage_ledger.erase('{new}', '{{1}}', ARRAY['{{\"shredded\":1,\"leaf\":\"{other}\",\"by\":2'::bytea])"
        ),
        &format!(
            "SELECT usage_ledger.erase('{new}', '{{1}}', ARRAY['{{\"shredded\":2,\"leaf\":\"{leaf}\",\"by\":2'::bytea])"
        ),
    ] {
        assert!(sql(refused).is_err(), "a server may: {refused}");
    }
    cluster.sql(DATABASE, "CREATE ROLE of_writer LOGIN; GRANT usage_ledger_writer TO of_writer");
    assert!(cluster.sql_as("of_writer", DATABASE, "SELECT usage_ledger.erase('x', '{}', '{}')").is_err());
    // Shredding needs no more than the function. Only the owner can rewrite the tables afterwards.
    let request = Shred::because("asked for").event(id);
    let _ = ledger.shred(&request, now());
    let body = cluster.sql(
        DATABASE,
        &format!(
            "SELECT convert_from(body, 'UTF8') FROM usage_ledger.events WHERE ledger_id = '{new}' AND position = 1"
        ),
    );
    assert!(body.starts_with("{\"shredded\":1,"), "{body}");
    assert_eq!(ledger.verify().unwrap().findings, []);
}

/// Tables of the first schema are upgraded by their owner, and used by others as they are.
pub fn first_schema(cluster: &Cluster) {
    const DATABASE: &str = "first";
    cluster.create_database(DATABASE);
    cluster.sql(
        DATABASE,
        "CREATE SCHEMA usage_ledger; CREATE TABLE usage_ledger.migrations \
         (number bigint PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now()); \
         INSERT INTO usage_ledger.migrations VALUES (1)",
    );
    cluster.sql(DATABASE, include_str!("first_schema.sql"));
    cluster.sql(DATABASE, "CREATE ROLE early LOGIN; GRANT USAGE ON SCHEMA usage_ledger TO early; GRANT SELECT ON ALL TABLES IN SCHEMA usage_ledger TO early");
    cluster.sql(DATABASE, "INSERT INTO usage_ledger.heads (ledger_id) VALUES ('team')");
    // Who may not upgrade the tables uses them as they are.
    let early = open(&cluster.address_as("early", DATABASE, "team")).unwrap();
    assert_eq!(early.head().unwrap().position.get(), 0);
    assert!(matches!(early.record(call(1), now()).unwrap_err(), Error::ReadOnly { .. }));
    assert_eq!(cluster.sql(DATABASE, "SELECT max(number) FROM usage_ledger.migrations"), "1");
    let ledger = open(&cluster.address_as("admin", DATABASE, "team")).unwrap();
    ledger.record(call(1), now()).unwrap();
    assert_eq!(cluster.sql(DATABASE, "SELECT max(number) FROM usage_ledger.migrations"), "5");
    assert_eq!(ledger.verify().unwrap().findings, []);
}

pub fn structure(cluster: &Cluster) {
    cluster.create_database("guarded");
    let address = cluster.fresh("guarded");
    let ledger = open(&address).unwrap();
    ledger.record(call(1), now()).unwrap();
    let found = || {
        let findings = ledger.verify().unwrap().findings;
        findings.into_iter().map(|finding| finding.what).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(found(), "");
    cluster.sql("guarded", "GRANT UPDATE ON usage_ledger.events TO usage_ledger_writer");
    assert!(found().contains("usage_ledger_writer may UPDATE"), "{}", found());
    cluster.sql("guarded", "REVOKE UPDATE ON usage_ledger.events FROM usage_ledger_writer");
    cluster.sql("guarded", "ALTER TABLE usage_ledger.events DROP CONSTRAINT events_ledger_id_id_key");
    assert!(found().contains("no unique key (ledger_id,id)"), "{}", found());
    cluster.sql("guarded", "DELETE FROM usage_ledger.events");
    assert!(matches!(ledger.record(call(2), now()).unwrap_err(), Error::Damaged { .. }));
}
