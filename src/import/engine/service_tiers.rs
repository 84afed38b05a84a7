//! The service tier of a call: stated by the response, or only requested by a setting.

use std::collections::BTreeMap;

use crate::model::event::{SERVICE_TIER, TokenRecord, is_special};

/// Label with the origin of a tier that neither a response nor telemetry states.
const FROM: &str = "service_tier_from";
const SETTING: &str = "setting";
/// The tier of a call that a response or telemetry marks as standard.
const STANDARD: &str = "standard";

/// Sets the tier that a setting requests, and marks it as unconfirmed.
pub(in crate::import) fn set_requested(record: &mut TokenRecord, tier: &str) {
    record.labels.insert(SERVICE_TIER.to_owned(), tier.to_owned());
    record.labels.insert(FROM.to_owned(), SETTING.to_owned());
}

/// Sets the tier that the response states.
pub(in crate::import) fn set_stated(record: &mut TokenRecord, tier: &str) {
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

/// Takes the tier from another feed of the same call, if the current tier is unconfirmed.
pub(in crate::import) fn settle(record: &mut TokenRecord, other: &BTreeMap<String, String>) {
    if let Some(tier) = other.get(SERVICE_TIER).filter(|_| is_asked(&record.labels) && !is_asked(other)) {
        set_stated(record, &tier.clone());
    }
}
