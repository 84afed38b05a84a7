//! The background thread that merges what arrives.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::super::FleetServer;
use super::{MergedLedger, MergedState};
use crate::model::time::Timestamp;

/// Events between two moments at which a question can take its turn.
const PIECE: u64 = 5_000;
/// How often the server's own ledger and the list of machines are looked at. Other programs change both.
const LOOK: Duration = Duration::from_secs(1);
/// The longest wait of a piece for machines that send segments. The merge would take a core from their pushes.
const GIVE_WAY: Duration = Duration::from_millis(500);
/// A machine that sends nothing for this long is not pushing.
const SILENT: Duration = Duration::from_millis(50);
/// The pause after a merge that failed.
const AGAIN: Duration = Duration::from_secs(10);

impl MergedState {
    /// Whether a segment is being accepted, or was within this time.
    fn is_pushed_to(&self, silent: Duration) -> bool {
        self.arriving > 0 || self.arrived.is_some_and(|arrived| arrived.elapsed() < silent)
    }
}

/// A segment that is being accepted.
pub(in crate::sync::fleet) struct ArrivingSegment<'s>(&'s MergedLedger);

impl Drop for ArrivingSegment<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.arriving -= 1;
        state.arrived = Some(Instant::now());
    }
}

impl FleetServer {
    /// Notes that a segment is being accepted, until the value is dropped.
    pub(in crate::sync::fleet) fn note_arrival(&self) -> ArrivingSegment<'_> {
        self.merged.state().arriving += 1;
        ArrivingSegment(&self.merged)
    }

    /// Merges new events until [`end_merging`](Self::end_merging). Without machines there is nothing to merge.
    ///
    /// Each piece is one transaction with the positions that it reached, so a thread that is killed continues where it was.
    pub fn keep_merging(&self, now: &dyn Fn() -> Timestamp) {
        let mut tried = Instant::now();
        while self.wait_for_work(&mut tried) {
            if self.merge_some(now(), PIECE).is_err() && !self.wait(AGAIN, |_| false) {
                return;
            }
        }
    }

    /// Ends [`keep_merging`](Self::keep_merging) after its current piece.
    pub fn end_merging(&self) {
        self.merged.state().is_ending = true;
        self.merged.news.notify_all();
    }

    /// Waits until there is something to merge; false if the server ends.
    fn wait_for_work(&self, tried: &mut Instant) -> bool {
        loop {
            {
                let mut state = self.merged.state();
                while state.questions > 0 && !state.is_ending {
                    state = self.merged.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                if state.is_ending {
                    return false;
                }
                if tried.elapsed() >= AGAIN {
                    *tried = Instant::now();
                    let failed: Vec<String> = state.failures.ledgers.keys().cloned().collect();
                    if let Some(changed) = state.changed.as_mut() {
                        changed.extend(failed);
                    }
                }
            }
            // An error shows when the merge is tried.
            let has_machines = self.registry().map_or(true, |registry| !registry.machines().is_empty());
            if has_machines && !self.is_up_to_date().unwrap_or(false) {
                return self.give_way();
            }
            if !self.wait(LOOK, |state| state.changed.as_ref().is_some_and(|changed| !changed.is_empty())) {
                return false;
            }
        }
    }

    /// Waits while machines push, at most [`GIVE_WAY`]; false if the server ends.
    fn give_way(&self) -> bool {
        let began = Instant::now();
        let mut state = self.merged.state();
        while !state.is_ending && state.is_pushed_to(SILENT) && began.elapsed() < GIVE_WAY {
            let waited = self.merged.news.wait_timeout(state, SILENT);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        !state.is_ending
    }

    /// Waits for news, at most this long; false if the server ends.
    fn wait(&self, most: Duration, is_news: impl Fn(&MergedState) -> bool) -> bool {
        let waits = |state: &mut MergedState| !state.is_ending && !is_news(state);
        let waited = self.merged.news.wait_timeout_while(self.merged.state(), most, waits);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.is_ending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fleet::StreamPlace;

    #[test]
    fn a_merge_gives_way_to_a_push_for_a_bounded_time() {
        let directory = tempfile::tempdir().unwrap();
        let place = StreamPlace::Files(directory.path().join("ledgers"));
        let server = FleetServer::new(directory.path(), place);
        let waited = || {
            let began = Instant::now();
            (server.give_way(), began.elapsed() >= GIVE_WAY)
        };
        assert_eq!(waited(), (true, false), "no machine pushes");
        let arriving = server.note_arrival();
        assert_eq!(waited(), (true, true), "a segment arrives all the time");
        drop(arriving);
        assert!(server.merged.state().is_pushed_to(GIVE_WAY), "the next segment can follow");
        let _arriving = server.note_arrival();
        server.end_merging();
        assert_eq!(waited(), (false, false), "the server ends");
    }
}
