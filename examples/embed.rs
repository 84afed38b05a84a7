//! An agent loop that keeps its own books: record each call, ask before the next, mark a change of provider.
//!
//! Run with `cargo run --example embed`.

use std::error::Error;

use chrono::Utc;
use usage_ledger::event::LimitSet;
use usage_ledger::{Ledger, TokenRecord};

/// What a provider answered: its id and its usage.
struct Answer {
    id: &'static str,
    input: u64,
    output: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join(format!("usage-ledger-embed-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let ledger = Ledger::open(dir.join("usage.db"))?.source("my-agent");
    ledger.set_limit(LimitSet::new("anthropic")?.session(10_000), Utc::now())?;

    let answers = [
        Answer { id: "msg_1", input: 3_000, output: 900 },
        Answer { id: "msg_2", input: 3_500, output: 1_100 },
        Answer { id: "msg_2", input: 3_500, output: 1_100 }, // a retry delivers the same answer again
    ];
    for answer in answers {
        let verdict = ledger.budget("anthropic", Utc::now())?;
        println!("before {}: {} ({})", answer.id, verdict.mode.name(), verdict.reason);
        let record = TokenRecord::new("anthropic", "claude-opus-4-5")
            .input(answer.input)
            .output(answer.output)
            .project("acme")
            .key(answer.id); // the key makes the append idempotent
        let outcome = ledger.record(record, Utc::now())?;
        println!("  {outcome:?}");
    }

    let verdict = ledger.budget("anthropic", Utc::now())?;
    if verdict.gated {
        ledger.switch_provider("ollama", &verdict.reason, Utc::now())?;
    }
    let usage = ledger.provider("anthropic", Utc::now())?;
    println!("anthropic still stands at {} tokens after the switch", usage.session.usage.tokens.total());
    assert_eq!(usage.session.usage.tokens.total(), 8_500);
    assert!(ledger.verify()?.ok);
    drop(ledger);
    std::fs::remove_dir_all(dir)?;
    Ok(())
}
