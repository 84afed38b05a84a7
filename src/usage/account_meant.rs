//! The account that a caller without an account means.

use std::collections::BTreeSet;

use super::exhausted::{Refusals, refusals};
use super::{AccountAt, AccountWindows, Exhausted, accounts};
use crate::model::error::{Error, Result};
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
    let mut meant = named_accounts_meant(view, provider)?;
    Ok(if meant.len() > 1 { None } else { meant.pop() })
}

/// The account of a statement that may open a gate, like [`account_meant`]. Such a statement is about one account, so
/// several are an error: recorded without an account it would change nothing about any of them.
pub(crate) fn one_account_meant(view: &dyn ReadView, provider: &str, named: Option<String>) -> Result<Option<String>> {
    if named.is_some() {
        return Ok(named);
    }
    let mut accounts = named_accounts_meant(view, provider)?;
    if accounts.len() > 1 {
        return Err(Error::SeveralAccounts { provider: provider.to_owned(), accounts });
    }
    Ok(accounts.pop())
}

/// The accounts with a name that a caller without an account may mean.
pub(crate) fn named_accounts_meant(view: &dyn ReadView, provider: &str) -> Result<Vec<String>> {
    Ok(accounts_meant(view, provider)?.into_iter().flatten().collect())
}

/// A refusal that holds and was recorded without an account, although the provider has accounts with names.
pub(crate) struct UnnamedRefusal {
    pub refusal: Exhausted,
    /// The accounts that it may be about.
    pub accounts: Vec<String>,
}

/// The refusal without an account that may be about an account.
pub(crate) fn unnamed_refusal(at: AccountAt<'_>) -> Result<Option<UnnamedRefusal>> {
    let meant = accounts_meant(at.view, &at.account.provider)?;
    if meant.len() < 2 || !meant.contains(&None) {
        return Ok(None);
    }
    let unnamed = AccountRef { provider: at.account.provider.clone(), account: None };
    let windows = AccountWindows::new(AccountAt { account: &unnamed, ..at })?;
    let Refusals { account, models } =
        refusals(AccountAt { account: &unnamed, ..at }, windows.observations(), windows.limits())?;
    let refusal = account.into_iter().chain(models).max_by_key(|one| one.until);
    let accounts = meant.into_iter().flatten().collect();
    Ok(refusal.map(|refusal| UnnamedRefusal { refusal, accounts }))
}
