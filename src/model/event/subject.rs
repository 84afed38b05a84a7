//! What events are about, and the names by which they are found.

use std::borrow::Cow;
use std::fmt;

/// A provider and, when there are several, an account of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AccountRef<'a> {
    pub provider: Cow<'a, str>,
    pub account: Option<Cow<'a, str>>,
}

impl<'a> AccountRef<'a> {
    pub fn new(provider: &'a str, account: Option<&'a str>) -> Self {
        Self { provider: provider.into(), account: account.map(Cow::Borrowed) }
    }

    pub fn into_owned(self) -> AccountRef<'static> {
        AccountRef {
            provider: Cow::Owned(self.provider.into_owned()),
            account: self.account.map(|account| Cow::Owned(account.into_owned())),
        }
    }
}

impl fmt::Display for AccountRef<'_> {
    /// `anthropic`, or `anthropic (work)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.provider)?;
        self.account.as_ref().map_or(Ok(()), |account| write!(f, " ({account})"))
    }
}

/// What an event of the event index is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// The ledger as a whole: switches, pauses.
    Ledger,
    /// One provider account.
    Account(AccountRef<'a>),
}

/// What a name is a name of. Blocks store hashes that depend on the order of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameKind {
    Provider,
    Account,
    Model,
    Agent,
    Project,
    Conversation,
}
