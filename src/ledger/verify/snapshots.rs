//! Compares cached past states with the events before them.

use super::lines::VerifiedLog;
use super::{Findings, StoredPart, refold};
use crate::ledger::past_states;
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::projection::FingerprintWeights;
use crate::store::{PrefixView, ReadView};

/// Checks every cached state that a query could read. One pass over the log serves all of them.
pub(super) fn check(
    view: &dyn ReadView,
    seen: &VerifiedLog,
    weights: FingerprintWeights,
    at: &[Position],
    findings: &mut Findings,
) -> Result<()> {
    let head = view.head()?.position;
    for at in at.iter().copied() {
        let what = if at > head {
            Some("there is no event here".to_owned())
        } else {
            match compare(view, seen, weights, at) {
                Err(Error::Damaged { what, .. }) => Some(what),
                other => other?,
            }
        };
        if let Some(what) = what {
            findings.add_of(
                StoredPart::Folded,
                at,
                format!(
                    "the snapshot from which questions as of this position are answered is not what the events up to \
                     here come to: {what}; `replay --write` drops it"
                ),
            );
        }
    }
    Ok(())
}

/// The fault of a cached state.
fn compare(
    view: &dyn ReadView,
    seen: &VerifiedLog,
    weights: FingerprintWeights,
    at: Position,
) -> Result<Option<String>> {
    let mut past = PrefixView::new(Box::new(view), at)?;
    let loaded = past_states::state(view, at)?.is_some_and(|state| past.load(&state));
    if !loaded {
        return Ok(Some("its bytes are damaged, and it is passed over".to_owned()));
    }
    let mut findings = Findings::default();
    refold::compare(&past, &seen.up_to(at)?, weights, &mut findings)?;
    Ok(findings.0.into_iter().next().map(|finding| finding.what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{AsOf, Ledger};
    use crate::model::event::TokenRecord;
    use crate::model::time::Timestamp;
    use crate::report::{Report, ReportKey};
    use crate::store::MemoryStore;

    const NOW: Timestamp = Timestamp::from_millis(1_781_092_800_000);

    /// Ten calls with the same number of tokens, two of them corrected, in two accounts.
    fn fill(store: &MemoryStore, input: u64) -> Ledger {
        let ledger = Ledger::with_store(Box::new(store.clone())).past_states_every(2);
        for call in 0..10 {
            let provider = if call % 2 == 0 { "openai" } else { "anthropic" };
            let record = TokenRecord::new(provider, "m").input(input).key(format!("k{call}")).key(format!("r{call}"));
            ledger.record(record, NOW.plus(call * 60_000)).unwrap();
        }
        let ids = [2, 5].map(|at| ledger.event(at).unwrap().id);
        ledger.void(ids[0], "twice", NOW.plus(700_000)).unwrap();
        ledger
            .amend(ids[1], TokenRecord::new("openai", "m").input(input + 1).key("k4"), "x", NOW.plus(700_000))
            .unwrap();
        ledger.record(TokenRecord::new("openai", "n").input(1), NOW.plus(800_000)).unwrap();
        ledger
    }

    fn asked(ledger: &Ledger, at: u64) -> u128 {
        let report = Report::by(ReportKey::Provider);
        ledger.as_of(AsOf::Position(at.into())).unwrap().report(&report).unwrap().total.tokens.total()
    }

    #[test]
    fn cached_states_of_every_position_equal_the_fold() {
        let store = MemoryStore::new();
        let ledger = fill(&store, 10);
        for at in 2..=12 {
            asked(&ledger, at);
            assert_eq!(ledger.verify().unwrap().findings, [], "with one at {at}");
        }
        assert!(ledger.replay().unwrap().ok);
    }

    #[test]
    fn a_forged_cached_state_is_a_finding_at_its_position() {
        let (store, other) = (MemoryStore::new(), MemoryStore::new());
        let (ledger, mut another) = (fill(&store, 10), fill(&other, 11));
        let state = |ledger: &Ledger, at: u64| {
            let view = ledger.store().read().unwrap();
            let mut past = PrefixView::new(view, at.into()).unwrap();
            crate::ledger::as_of::refold(&mut past, Position::START).unwrap();
            past.dump()
        };
        let (right, wrong, early) = (state(&ledger, 12), state(&mut another, 12), state(&ledger, 11));
        let findings = |store: &MemoryStore, at: u64, state: &[u8]| {
            past_states::forge(&store.clone(), at.into(), state);
            let ledger = Ledger::with_store(Box::new(store.clone()));
            let positions =
                |findings: crate::Verification| findings.findings.iter().map(|one| one.position).collect::<Vec<_>>();
            let (verified, replayed) = (positions(ledger.verify().unwrap()), positions(ledger.replay().unwrap()));
            assert_eq!(verified, replayed);
            ledger.rebuild().unwrap();
            assert!(ledger.verify().unwrap().ok);
            verified
        };
        assert_eq!(findings(&store, 12, &right), []);
        for (at, state) in [(12, &wrong), (12, &early), (11, &right), (14, &right), (12, &Vec::new()), (0, &early)] {
            assert_eq!(findings(&store, at, state), [Some(at.into())], "as of {at}");
        }
    }

    #[test]
    fn a_damaged_cached_state_is_a_finding_and_changes_no_answer() {
        use crate::store::{EventStore, GO_ON, Order, Table};
        let store = MemoryStore::new();
        let ledger = fill(&store, 10);
        let before = asked(&ledger, 9);
        let mut row = (Vec::new(), Vec::new());
        let tx = store.clone();
        let mut tx = tx.write().unwrap();
        tx.scan(Table::Snapshots, &[], &[], Order::Ascending, &mut |key, value| {
            row = (key.to_vec(), value.to_vec());
            GO_ON
        })
        .unwrap();
        for byte in row.1.iter_mut().rev().take(40) {
            *byte ^= 4;
        }
        tx.put(Table::Snapshots, &row.0, Some(&row.1)).unwrap();
        tx.commit().unwrap();
        let unkept = Ledger::with_store(Box::new(store));
        assert_eq!(asked(&unkept, 9), before);
        let findings = unkept.verify().unwrap().findings;
        assert_eq!((findings.len(), findings[0].position), (1, Some(9.into())), "{findings:?}");
    }
}
