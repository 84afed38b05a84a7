//! Names the accounts that a statement without an account may be about.

use crate::ledger::Ledger;
use crate::model::provider::ProviderId;
use crate::present::failure::{Failure, print_message};

/// Warns about a statement that was recorded without an account, if the provider has several with a name.
pub(crate) fn account_hint(provider: &ProviderId, ledger: &Ledger) -> Result<(), Failure> {
    if let Some(accounts) = ledger.snapshot()?.several_accounts(provider)? {
        print_message(&format!(
            "hint: {} has the accounts {}, and it is not known which one this is about: it counts only for runs that \
             name no account. Name it with --account",
            provider.as_str(),
            accounts.join(", ")
        ));
    }
    Ok(())
}
