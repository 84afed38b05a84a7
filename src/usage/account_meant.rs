//! The account that a caller without an account means.

use std::collections::BTreeSet;

use super::accounts;
use crate::model::error::Result;
use crate::model::event::AccountRef;
use crate::model::provider::local_program_of;
use crate::model::time::Timestamp;
use crate::projection::first_from;
use crate::store::ReadView;

/// The accounts of a provider that a caller without an account may mean, those with a name first; `None` is the account
/// without one.
///
/// If the account without a name has calls, it alone is meant. Otherwise every account with an event may be meant, as a
/// refusal or a setting without a name says nothing about which one it is of. The accounts of a local program are also
/// those of its paid cloud.
pub(crate) fn accounts_meant(view: &dyn ReadView, provider: &str) -> Result<Vec<Option<String>>> {
    let program = local_program_of(provider);
    let is_own =
        |account: &AccountRef<'_>| account.provider == provider || program.is_some_and(|p| account.provider == p);
    let own: BTreeSet<Option<String>> =
        accounts(view)?.into_iter().filter(is_own).map(|account| account.account.map(Into::into)).collect();
    let has_calls = || first_from(view, &AccountRef::new(provider, None).key(), Timestamp::MIN);
    if own.iter().all(Option::is_none) || (own.contains(&None) && has_calls()?.is_some()) {
        return Ok(vec![None]);
    }
    let (named, nameless): (Vec<_>, Vec<_>) = own.into_iter().partition(Option::is_some);
    Ok(named.into_iter().chain(nameless).collect())
}

/// The account of a statement: the named one. Without a name it is the provider's only account with a name, unless calls
/// without an account are recorded.
pub(crate) fn account_meant(view: &dyn ReadView, provider: &str, named: Option<String>) -> Result<Option<String>> {
    if named.is_some() {
        return Ok(named);
    }
    let mut meant = accounts_meant(view, provider)?.into_iter().flatten();
    let only = meant.next();
    Ok(if meant.next().is_some() { None } else { only })
}
