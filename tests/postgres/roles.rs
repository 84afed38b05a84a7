//! Roles and row-level security: what each may do, and what it cannot.

use usage_ledger::store::{EventStore, PostgresStore, Row};
use usage_ledger::{Error, EventId, Ledger, Timestamp, TokenRecord};

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
