//! The names in an event, and their hashes in the summary of a block.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::model::event::{Payload, TokenView};
use crate::model::provider::ProviderId;

/// The kind of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameKind {
    Provider,
    Account,
    Model,
    Agent,
    Project,
    Conversation,
}

impl NameKind {
    /// The 32-bit hash of a name of this kind. Two names of one block rarely share a hash. A collision costs reading
    /// the block, but never gives a wrong answer.
    pub fn hash(self, name: &str) -> u32 {
        (xxh3_64_with_seed(name.as_bytes(), self as u64) >> 32) as u32
    }
}

/// Visits the names in an event.
pub(crate) fn names_of(payload: &Payload, visit: &mut dyn FnMut(NameKind, &str)) {
    let (provider, account) = match payload {
        Payload::TokensRecorded(record) => return names_of_record(&TokenView::from(record), visit),
        Payload::TokensAmended(amend) => return names_of_record(&TokenView::from(&amend.replacement), visit),
        Payload::ProviderSwitched(data) => {
            visit(NameKind::Provider, data.to.as_str());
            if let Some(from) = &data.from {
                visit(NameKind::Provider, from.as_str());
            }
            return;
        }
        Payload::PriceSet(data) => return visit(NameKind::Provider, data.provider.as_str()),
        Payload::AlertSet(data) => return optional(data.provider.as_ref(), data.account.as_deref(), visit),
        Payload::AlertFired(data) => return optional(data.provider.as_ref(), data.account.as_deref(), visit),
        Payload::QuotaObserved(data) => (&data.provider, &data.account),
        Payload::QuotaExhausted(data) => (&data.provider, &data.account),
        Payload::LimitSet(data) => (&data.provider, &data.account),
        Payload::ProviderDeclared(data) => (&data.provider, &data.account),
        Payload::UsageOverridden(data) => (&data.provider, &data.account),
        Payload::BudgetReserved(data) => (&data.provider, &data.account),
        Payload::EventVoided(_)
        | Payload::Paused(_)
        | Payload::Resumed(_)
        | Payload::BudgetSettled(_)
        | Payload::BudgetReleased(_)
        | Payload::Imported(_)
        | Payload::EventShredded(_)
        | Payload::AlertDelivery(_)
        | Payload::PeriodSealed(_) => return,
    };
    visit(NameKind::Provider, provider.as_str());
    if let Some(account) = account {
        visit(NameKind::Account, account);
    }
}

/// Visits the names of an alert, which may be about all providers.
fn optional(provider: Option<&ProviderId>, account: Option<&str>, visit: &mut dyn FnMut(NameKind, &str)) {
    if let Some(provider) = provider {
        visit(NameKind::Provider, provider.as_str());
    }
    if let Some(account) = account {
        visit(NameKind::Account, account);
    }
}

/// Visits the names of a record.
pub(super) fn names_of_record(record: &TokenView<'_>, visit: &mut dyn FnMut(NameKind, &str)) {
    visit(NameKind::Provider, &record.provider);
    let others = [
        (NameKind::Account, &record.account),
        (NameKind::Model, &record.model),
        (NameKind::Agent, &record.agent),
        (NameKind::Project, &record.project),
        (NameKind::Conversation, &record.conversation),
    ];
    for (kind, name) in others {
        if let Some(name) = name {
            visit(kind, name);
        }
    }
}
