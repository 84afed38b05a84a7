//! The conformance suite on PostgreSQL, and on databases that break a rule on purpose.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libtest_mimic::Trial;
use usage_ledger::store::conformance::{Factory, Rule, rules};
use usage_ledger::store::{EventStore, PostgresStore};

use crate::cluster::Cluster;
use crate::{DATABASE, Shared, trial};

struct Ledger(String);

impl Factory for Ledger {
    fn open(&self) -> Box<dyn EventStore> {
        Box::new(PostgresStore::open(&self.0.parse().unwrap()).unwrap())
    }
}

/// A database that breaks a rule: its name, the statement that breaks it, and rules that must fail.
const BROKEN: [(&str, &str, &[&str]); 5] = [
    (
        "changes_bodies",
        "CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN NEW.body := NEW.body || ' '::bytea; RETURN NEW; END $$ LANGUAGE plpgsql; \
         CREATE TRIGGER t BEFORE INSERT ON usage_ledger.events FOR EACH ROW EXECUTE FUNCTION f()",
        &["the_bytes_of_a_body_round_trip", "a_row_round_trips_with_all_its_columns"],
    ),
    (
        "loses_rows",
        "CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN IF NEW.position = 2 THEN RETURN NULL; END IF; RETURN NEW; END $$ LANGUAGE plpgsql; \
         CREATE TRIGGER t BEFORE INSERT ON usage_ledger.events FOR EACH ROW EXECUTE FUNCTION f()",
        &["positions_have_no_gaps", "a_row_never_disappears"],
    ),
    (
        "keeps_removed_values",
        "CREATE RULE r AS ON DELETE TO usage_ledger.projections DO INSTEAD NOTHING",
        &["a_value_is_put_replaced_and_removed"],
    ),
    (
        "ignores_replaced_values",
        "CREATE FUNCTION f() RETURNS trigger AS $$ BEGIN RETURN OLD; END $$ LANGUAGE plpgsql; \
         CREATE TRIGGER t BEFORE UPDATE ON usage_ledger.projections FOR EACH ROW EXECUTE FUNCTION f()",
        &["no_update_is_lost", "a_value_is_put_replaced_and_removed"],
    ),
    (
        "keeps_shredded_bodies",
        "CREATE RULE r AS ON UPDATE TO usage_ledger.events DO INSTEAD NOTHING",
        &["a_tombstone_replaces_a_body"],
    ),
];

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

fn broken(cluster: &Cluster, (name, sql, fails): (&str, &str, &[&str])) {
    cluster.create_database(name);
    drop(PostgresStore::open(&cluster.fresh(name).parse().unwrap()).unwrap());
    cluster.sql(name, sql);
    for rule in rules().iter().filter(|rule| fails.contains(&rule.name())) {
        EXPECTED.set(true);
        let failed = catch_unwind(AssertUnwindSafe(|| rule.check(&Ledger(cluster.fresh(name))))).is_err();
        EXPECTED.set(false);
        assert!(failed, "{name} passes {}", rule.name());
    }
    assert!(fails.iter().all(|name| rules().iter().any(|rule| rule.name() == *name)));
}

pub fn trials(cluster: &Shared) -> Vec<Trial> {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !EXPECTED.get() {
            report(panic);
        }
    }));
    let check = |rule: &'static Rule| {
        trial(cluster, format!("contract::{}", rule.name()), move |cluster| {
            rule.check(&Ledger(cluster.fresh(DATABASE)));
        })
    };
    let mut trials: Vec<Trial> = rules().iter().map(check).collect();
    trials.extend(
        BROKEN.into_iter().map(|one| trial(cluster, format!("contract::broken::{}", one.0), move |c| broken(c, one))),
    );
    trials
}
