//! Checks that a provider is known, and selects the accounts that a request means.

use std::collections::BTreeSet;

use super::RunRequest;
use crate::model::error::{Error, Result};
use crate::model::event::{EventKind, Payload, Subject};
use crate::model::provider::similar_to;
use crate::model::time::Timestamp;
use crate::projection::collect_events;
use crate::store::ReadView;
use crate::usage::{account_meant, accounts, accounts_meant, switches};

/// The providers in any event of the ledger.
fn in_events(view: &dyn ReadView) -> Result<BTreeSet<String>> {
    let mut providers: BTreeSet<String> = accounts(view)?.into_iter().map(|one| one.provider.into_owned()).collect();
    for switch in switches(view, Timestamp::MAX)? {
        providers.insert(switch.switch.to.as_str().to_owned());
        providers.extend(switch.switch.from.map(|from| from.as_str().to_owned()));
    }
    let ever = (Timestamp::MIN, Timestamp::MAX);
    providers.extend(collect_events(view, EventKind::PriceSet, &Subject::Ledger, ever, |indexed| {
        let Payload::PriceSet(price) = indexed.event.payload else { return None };
        Some(price.provider.as_str().to_owned())
    })?);
    Ok(providers)
}

/// Refuses a provider that is in no catalogue, no event and no declaration: its gate could never close.
pub(super) fn expect_known(view: &dyn ReadView, request: &RunRequest) -> Result<()> {
    if request.undeclared || request.provider.known().is_some() {
        return Ok(());
    }
    let id = request.provider.as_str();
    let known = in_events(view)?;
    if known.contains(id) {
        return Ok(());
    }
    let candidates = similar_to(id, known.iter().map(String::as_str));
    Err(Error::UnknownProvider { id: id.to_owned(), candidates })
}

/// The requests that a request without an account may mean, each with its account.
pub(super) fn requests_meant(view: &dyn ReadView, request: &RunRequest) -> Result<Vec<RunRequest>> {
    if request.account.is_some() {
        return Ok(vec![request.clone()]);
    }
    let meant = accounts_meant(view, request.provider.as_str())?;
    Ok(meant.into_iter().map(|account| RunRequest { account, ..request.clone() }).collect())
}

/// The request with the account that a statement without an account is about.
pub(super) fn on_the_account_meant(view: &dyn ReadView, request: &RunRequest) -> Result<RunRequest> {
    let account = account_meant(view, request.provider.as_str(), request.account.clone())?;
    Ok(RunRequest { account, ..request.clone() })
}
