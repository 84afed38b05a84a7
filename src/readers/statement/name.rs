//! Names of the rows of a statement.

use std::borrow::Cow;

use crate::model::secrets;

/// A name that a row of a statement has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    Account,
    Context,
    Geography,
    Id,
    Key,
    KeyId,
    Model,
    Organisation,
    Provider,
    Speed,
    Tier,
    User,
    Workspace,
}

impl Name {
    /// Every kind of name.
    const ALL: [Self; 13] = [
        Self::Account,
        Self::Context,
        Self::Geography,
        Self::Id,
        Self::Key,
        Self::KeyId,
        Self::Model,
        Self::Organisation,
        Self::Provider,
        Self::Speed,
        Self::Tier,
        Self::User,
        Self::Workspace,
    ];

    /// The word in events.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Context => "context",
            Self::Geography => "geography",
            Self::Id => "id",
            Self::Key => "key",
            Self::KeyId => "key_id",
            Self::Model => "model",
            Self::Organisation => "organisation",
            Self::Provider => "provider",
            Self::Speed => "speed",
            Self::Tier => "tier",
            Self::User => "user",
            Self::Workspace => "workspace",
        }
    }

    /// A name of this kind without credentials. Two callers with different credentials keep different names.
    pub(super) fn scrubbed(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Account | Self::Id | Self::Key | Self::KeyId | Self::Organisation | Self::User | Self::Workspace => {
                secrets::id(name)
            }
            // A provider id cannot contain the brackets of the usual replacement.
            Self::Provider if secrets::name(name) != name => Cow::Borrowed("redacted"),
            _ => secrets::name(name),
        }
    }

    /// The name with a word of events.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.word() == word)
    }
}
