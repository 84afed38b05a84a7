//! The refused pushes since the server started. A machine that is refused pushes again, so a restart forgets nothing for long.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::FleetRefusal;
use crate::model::time::Timestamp;
use crate::sync::protocol::{PushObstacle, is_ledger_id};

/// The most refusals that are kept. A machine could otherwise fill the memory with ids.
const MOST: usize = 1_000;

/// A push that was refused, and that needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedPush {
    pub ledger: String,
    pub at: Timestamp,
    pub title: PushObstacle,
    pub detail: String,
    /// The first position at which the histories differ, if it is known.
    pub position: Option<u64>,
}

/// The last refusal of each machine and ledger.
#[derive(Default)]
pub(super) struct RefusalLog(Mutex<BTreeMap<(String, String), RefusedPush>>);

impl RefusalLog {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), RefusedPush>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the result of a push. An accepted one settles an earlier refusal.
    pub fn note(&self, machine: &str, ledger: &str, result: Result<(), &FleetRefusal>, now: Timestamp) {
        let key = (machine.to_owned(), ledger.to_owned());
        match result {
            Ok(()) => drop(self.lock().remove(&key)),
            Err(FleetRefusal::Refused(refused)) if needs_a_person(refused.title) && is_ledger_id(ledger) => {
                let mut refusals = self.lock();
                if refusals.len() < MOST || refusals.contains_key(&key) {
                    let refused = RefusedPush {
                        ledger: ledger.to_owned(),
                        at: now,
                        title: refused.title,
                        detail: refused.detail.clone(),
                        position: refused.position,
                    };
                    refusals.insert(key, refused);
                }
            }
            Err(_) => {}
        }
    }

    /// The refusals of a machine.
    pub fn of(&self, machine: &str) -> Vec<RefusedPush> {
        self.lock().iter().filter(|((of, _), _)| of == machine).map(|(_, refused)| refused.clone()).collect()
    }
}

/// Whether a push does not go on by itself after this answer.
const fn needs_a_person(title: PushObstacle) -> bool {
    match title {
        PushObstacle::Fork | PushObstacle::Forbidden | PushObstacle::Invalid | PushObstacle::TooLarge => true,
        PushObstacle::Gap
        | PushObstacle::Behind
        | PushObstacle::Unauthorized
        | PushObstacle::NotFound
        | PushObstacle::Unavailable => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::protocol::{PushRefused, new_ledger_id};

    #[test]
    fn a_refusal_is_kept_until_a_push_is_accepted() {
        let (refusals, ledger) = (RefusalLog::default(), new_ledger_id().unwrap());
        let refused = |title| FleetRefusal::from(PushRefused::new(title, "why"));
        let now = Timestamp::from_millis(7);
        refusals.note("one", &ledger, Err(&refused(PushObstacle::Gap)), now);
        refusals.note("one", "no id", Err(&refused(PushObstacle::Fork)), now);
        assert_eq!(refusals.of("one"), []);
        refusals.note("one", &ledger, Err(&refused(PushObstacle::Fork)), now);
        refusals.note("two", &ledger, Err(&refused(PushObstacle::Forbidden)), now);
        assert_eq!((refusals.of("one").len(), refusals.of("two")[0].title), (1, PushObstacle::Forbidden));
        refusals.note("one", &ledger, Ok(()), now);
        assert_eq!((refusals.of("one").len(), refusals.of("two").len()), (0, 1));
    }
}
