use std::io::Write;

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{ExportError, ExportOptions, Exporter};
use crate::ledger::Snapshot;
use crate::model::event::{Quality, TokenRecord};
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::{TokenClass, Usd};

/// Every record as it counts now, as Koan writes its rows of usage: compact JSON, one a line, in the order of time.
///
/// Times are the zone's wall clock, and the day whose file a row belongs into is that of its `ts`. Koan knows two
/// counts of output and one of cache writes, so reasoning is in the output and writes are summed.
pub(super) struct KoanJsonl;

/// Decimals of a cost.
const DECIMALS: u32 = 6;

#[derive(Serialize)]
struct KoanRow<'a> {
    ts: String,
    project: &'a str,
    model: &'a str,
    input_tokens: u64,
    output_tokens: u64,
    mode: &'a str,
    mission: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mission_type: Option<&'a str>,
    #[serde(skip_serializing_if = "is_zero")]
    cache_creation_input_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_read_input_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_usd: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "is_zero")]
    duration_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mission_id: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    backfill: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Exporter for KoanJsonl {
    fn name(&self) -> &'static str {
        "koan-jsonl"
    }

    fn export(&self, snapshot: &Snapshot<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
        self.export_with(snapshot, &ExportOptions::default(), out)
    }

    fn export_with(
        &self,
        snapshot: &Snapshot<'_>,
        options: &ExportOptions,
        out: &mut dyn Write,
    ) -> Result<(), ExportError> {
        let mut ordered = Vec::new();
        snapshot.each_call(&mut |position, told| {
            if options.provider.as_ref().is_none_or(|provider| *provider == told.record.provider) {
                ordered.push((told.at, position));
            }
            Ok(())
        })?;
        // Several importers fill a ledger; a day's file is in the order of its times.
        ordered.sort_unstable();
        for (_, position) in ordered {
            let Some(told) = snapshot.effective(position)? else { continue };
            serde_json::to_writer(&mut *out, &row(&told.record, told.at, options.zone))
                .map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Ok(())
    }
}

fn row(record: &TokenRecord, at: Timestamp, zone: Zone) -> KoanRow<'_> {
    let label = |name: &str| record.labels.get(name).map(String::as_str);
    let count = |classes: &[TokenClass]| {
        classes.iter().fold(0_u64, |sum, class| sum.saturating_add(record.tokens.get(*class).unwrap_or(0)))
    };
    KoanRow {
        ts: zone.local(at).format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
        project: record.project.as_deref().unwrap_or("_global"),
        model: record.model.as_deref().unwrap_or("unknown"),
        input_tokens: count(&[TokenClass::Input]),
        output_tokens: count(&[TokenClass::Output, TokenClass::Reasoning]),
        mode: label("mode").unwrap_or_default(),
        mission: label("mission").unwrap_or_default(),
        mission_type: label("type"),
        cache_creation_input_tokens: count(&[
            TokenClass::CacheWrite5m,
            TokenClass::CacheWrite1h,
            TokenClass::CacheWrite,
        ]),
        cache_read_input_tokens: count(&[TokenClass::CacheRead]),
        cost_usd: record.cost.and_then(rounded),
        duration_seconds: record.duration_ms.unwrap_or(0) / 1_000,
        // Koan leaves out a provider that it does not know.
        provider: label("cli_provider").or(Some(&*record.provider)).filter(|name| *name != "unknown"),
        mission_id: label("mission_id"),
        backfill: label("backfill") == Some("true") && record.quality == Quality::Estimated,
    }
}

/// An amount as a JSON number.
fn rounded(usd: Usd) -> Option<Box<RawValue>> {
    let amount: Decimal = usd.to_string().parse().ok()?;
    RawValue::from_string(amount.round_dp(DECIMALS).normalize().to_string()).ok()
}
