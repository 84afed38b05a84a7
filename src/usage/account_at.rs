//! The scope of every query about one account.

use crate::model::event::AccountRef;
use crate::model::time::Timestamp;
use crate::store::ReadView;

/// An account, in one state of a ledger, at one time.
#[derive(Clone, Copy)]
pub(crate) struct AccountAt<'a> {
    pub view: &'a dyn ReadView,
    pub account: &'a AccountRef<'a>,
    pub now: Timestamp,
}

impl<'a> AccountAt<'a> {
    pub const fn new(view: &'a dyn ReadView, account: &'a AccountRef<'a>, now: Timestamp) -> Self {
        Self { view, account, now }
    }

    /// The same account in the same state at another time.
    pub const fn with_now(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }
}
