//! Ledgers in PostgreSQL, on real servers that the tests start themselves. Without PostgreSQL they are left out; with
//! `REQUIRE_POSTGRES=1` that is an error.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[cfg(feature = "archive")]
mod archived;
#[cfg(feature = "web")]
#[path = "../cli_support/mod.rs"]
mod cli_support;
mod cluster;
mod commands;
mod contract;
mod faults;
mod histories;
mod proxy;
#[cfg(feature = "web")]
mod push;
#[cfg(feature = "web")]
#[path = "../cli_support/push_server.rs"]
mod push_server;
mod roles;
mod round_trips;
mod routes;
mod shards;
mod tls;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Trial};

use cluster::Cluster;

/// The database of tests that share one.
pub const DATABASE: &str = "usage";

/// A server that several tests use.
pub type Shared = Arc<Cluster>;
type Test = fn(&Cluster);

/// A test on the shared server.
fn trial(cluster: &Shared, name: String, test: impl FnOnce(&Cluster) + Send + 'static) -> Trial {
    let cluster = Arc::clone(cluster);
    Trial::test(name, move || {
        test(&cluster);
        Ok(())
    })
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let Some(programs) = cluster::programs() else {
        if std::env::var_os("REQUIRE_POSTGRES").is_some() {
            eprintln!("PostgreSQL is not installed, and REQUIRE_POSTGRES is set: install the package `postgresql`");
            return ExitCode::FAILURE;
        }
        eprintln!("left out: PostgreSQL is not installed, so no test of ledgers in it can run");
        return ExitCode::SUCCESS;
    };
    if arguments.list {
        return libtest_mimic::run(&arguments, Vec::new()).exit_code();
    }
    // The tests mostly wait for the server.
    arguments.test_threads = arguments.test_threads.or(Some(8));
    let cluster: Shared = Arc::new(Cluster::start(&programs, &[]));
    cluster.create_database(DATABASE);
    let mut trials = contract::trials(&cluster);
    let tests: &[(&str, Test)] = &[
        ("an_append_of_any_size_takes_at_most_six_round_trips", round_trips::appends),
        ("an_import_takes_few_round_trips", round_trips::imports),
        ("a_writer_cannot_change_the_log_or_touch_another_ledger", roles::writer),
        ("a_reader_and_an_auditor_only_read", roles::readers),
        ("only_the_owner_erases_shredded_lines", roles::shred),
        ("a_server_writes_all_ledgers_and_changes_no_line", roles::server),
        ("tables_of_the_first_schema_are_upgraded", roles::first_schema),
        ("verify_finds_what_would_let_a_log_change", roles::structure),
        ("a_commit_that_is_cut_is_resolved", faults::cut_commits),
        ("many_writers_lose_nothing", faults::many_writers),
        ("a_backend_that_stops_delays_and_loses_nothing", faults::stopped),
        ("a_deadlock_is_resolved", faults::deadlock),
        ("many_programs_create_the_tables_at_once", faults::create_at_once),
        ("a_full_disk_loses_nothing_that_was_acknowledged", histories::full_disk),
        ("every_command_works_on_a_server", commands::every_command),
        ("answers_equal_those_of_a_file", commands::equal_answers),
        ("no_output_contains_a_secret", commands::no_secrets),
        ("every_statement_goes_to_the_shard_of_its_ledger", routes::statements),
        ("every_table_is_distributed_by_ledger", routes::citus),
        #[cfg(feature = "archive")]
        ("archived_lines_answer_as_before", archived::lines),
        #[cfg(feature = "archive")]
        ("a_lost_or_changed_archive_is_named", archived::lost),
        #[cfg(feature = "web")]
        ("ledgers_are_pushed_into_a_database", push::pushes),
        #[cfg(feature = "web")]
        ("a_server_needs_no_tables_of_its_own", push::as_server),
        #[cfg(feature = "web")]
        ("a_merge_of_pushed_ledgers_takes_few_round_trips", push::merge_round_trips),
    ];
    trials.extend(tests.iter().map(|(name, test)| trial(&cluster, (*name).to_owned(), *test)));
    let own = Mutex::new(programs.clone());
    let kills = move || {
        faults::kills(&own.lock().unwrap());
        Ok(())
    };
    trials.push(Trial::test("a_killed_server_loses_nothing_that_was_acknowledged", kills));
    let path = programs.clone();
    trials.push(Trial::test("histories_under_faults_are_those_of_a_set_and_a_bank", move || {
        histories::sets_and_sums(&path);
        Ok(())
    }));
    #[cfg(feature = "web")]
    trials.push(Trial::test("pushes_are_killed_anywhere", || {
        push::kills();
        Ok(())
    }));
    let path = programs.clone();
    trials.push(Trial::test("a_server_is_verified_by_its_certificate", move || {
        tls::verified(&path);
        Ok(())
    }));
    let clusters = Arc::new(shards::Clusters::new(programs.clone()));
    let sharded: &[(&str, shards::Test)] = &[
        ("a_ledger_that_moves_while_it_is_written_loses_nothing", shards::moves),
        ("an_interrupted_move_is_continued_or_undone", shards::states),
        ("commands_work_on_a_map_of_clusters", shards::commands),
        #[cfg(feature = "web")]
        ("ledgers_are_pushed_to_their_clusters", shards::pushes),
    ];
    for (name, test) in sharded {
        let (clusters, test) = (Arc::clone(&clusters), *test);
        trials.push(Trial::test(*name, move || {
            test(clusters.started());
            Ok(())
        }));
    }
    #[cfg(feature = "web")]
    trials.push(Trial::test("a_replica_that_lags_signs_nothing_smaller_or_different", || {
        push::failover();
        Ok(())
    }));
    let done = libtest_mimic::run(&arguments, trials);
    drop((cluster, clusters));
    done.exit_code()
}
