//! Answers queries as if more were recorded.

use super::append::Appender;
use super::{Ledger, Snapshot};
use crate::model::error::Result;
use crate::model::event::QuotaObserved;
use crate::model::time::Timestamp;
use crate::readers::quota;
use crate::store::{Overlay, ReadView};

impl Ledger {
    /// Answers a query as if these observations were recorded.
    pub(crate) fn suppose<T>(
        &self,
        seen: Vec<QuotaObserved>,
        now: Timestamp,
        ask: impl FnOnce(&Snapshot<'_>) -> Result<T>,
    ) -> Result<T> {
        let source = self.source.clone();
        let trial = Overlay::new(self.store().read()?)?;
        let mut appender = Appender::new(Box::new(trial), now, &self.shared.ids)?;
        for one in seen {
            appender.push(quota::event(one, now).source(source.clone()))?;
        }
        let view: &dyn ReadView = appender.sink()?;
        ask(&Snapshot::new(Box::new(view)))
    }
}
