//! History that can be asked, corrected and rebuilt: what did we believe then, what do we know now?
//!
//! Run with `cargo run --example rebuild`.

use usage_ledger::{AsOf, Ledger, Report, ReportKey, ReportTable, Timestamp, TokenRecord};

fn main() -> usage_ledger::Result<()> {
    let monday: Timestamp = "2026-06-01T09:00:00Z".parse()?;
    let tuesday: Timestamp = "2026-06-02T09:00:00Z".parse()?;
    let ledger = Ledger::in_memory()?;

    ledger.record(TokenRecord::new("openai", "gpt-5").input(1_000).project("acme"), monday)?;
    let wrong = ledger.event(1)?.id;
    // On Tuesday somebody notices that Monday's call was booked on the wrong project.
    ledger.amend(
        wrong,
        TokenRecord::new("openai", "gpt-5").input(1_000).project("zenith"),
        "wrong project",
        tuesday,
    )?;

    let by_project = Report::by(ReportKey::Project);
    let then = ledger.as_of(AsOf::Time(monday))?.report(&by_project)?;
    let now = ledger.report(&by_project)?;
    let project = |table: &ReportTable| table.rows.first().and_then(|row| row.keys.first().cloned().flatten());
    println!("on Monday we believed {:?}, today we know {:?}", project(&then), project(&now));
    assert_eq!(project(&then).as_deref(), Some("acme"));
    assert_eq!(project(&now).as_deref(), Some("zenith"));

    // The counters are folds: made anew from the events they are the same.
    ledger.rebuild()?;
    assert_eq!(ledger.report(&by_project)?, now);
    assert!(ledger.replay()?.ok);
    println!("root of the history: {}", ledger.root()?);
    Ok(())
}
