//! The service tier of a call: what the response says, or what only a setting asks for.

use std::collections::BTreeMap;

use crate::model::event::{SERVICE_TIER, TokenRecord, is_special};

/// The label that says where a tier comes from, if not from a response or from telemetry of the call.
const FROM: &str = "service_tier_from";
const SETTING: &str = "setting";
/// A response or telemetry says that the call had the standard price.
const STANDARD: &str = "standard";

/// Files a call under the tier that a setting asks for, and marks that nothing confirms it.
pub(in crate::import) fn asked(record: &mut TokenRecord, tier: &str) {
    record.labels.insert(SERVICE_TIER.to_owned(), tier.to_owned());
    record.labels.insert(FROM.to_owned(), SETTING.to_owned());
}

/// Files a call under the tier that its response states.
pub(in crate::import) fn answered(record: &mut TokenRecord, tier: &str) {
    record.labels.remove(FROM);
    if is_special(tier) {
        record.labels.insert(SERVICE_TIER.to_owned(), tier.to_owned());
    } else if !tier.is_empty() {
        record.labels.insert(SERVICE_TIER.to_owned(), STANDARD.to_owned());
    }
}

fn is_asked(labels: &BTreeMap<String, String>) -> bool {
    labels.get(FROM).is_some_and(|from| from == SETTING)
}

/// Takes over what another feed of the same call says of its tier, where only a setting names one.
pub(in crate::import) fn settle(record: &mut TokenRecord, other: &BTreeMap<String, String>) {
    if let Some(tier) = other.get(SERVICE_TIER).filter(|_| is_asked(&record.labels) && !is_asked(other)) {
        answered(record, &tier.clone());
    }
}
