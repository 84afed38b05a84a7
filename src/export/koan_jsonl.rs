use std::io::Write;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{ExportError, ExportOptions, Exporter};
use crate::ledger::Snapshot;
use crate::model::error::Error;
use crate::model::event::{Quality, TokenRecord};
use crate::model::invariant::bug;
use crate::model::serde_skip::is_zero;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::{TokenClass, Usd};

/// Exports the current state of every record in the format of Koan's usage rows: compact JSON lines in order of time.
///
/// Times are local times of the zone. A row belongs to the file of the day in its `ts`. Koan has one output count and
/// one count of cache writes, so the output includes reasoning and cache writes are summed.
pub(super) struct KoanJsonl;

/// Decimal places of a cost.
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
        snapshot.each_call(&mut |position, call| {
            if options.provider.as_ref().is_none_or(|provider| *provider == call.record.provider) {
                ordered.push((call.at, position));
            }
            Ok(())
        })?;
        // Several importers fill a ledger, and the rows of a file must be in order of time.
        ordered.sort_unstable();
        for (_, position) in ordered {
            let Some(call) = snapshot.effective(position)? else { continue };
            serde_json::to_writer(&mut *out, &row(&call.record, call.at, options.zone)?)
                .map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Ok(())
    }
}

fn row(record: &TokenRecord, at: Timestamp, zone: Zone) -> Result<KoanRow<'_>, Error> {
    let label = |name: &str| record.labels.get(name).map(String::as_str);
    let count = |classes: &[TokenClass]| {
        classes.iter().fold(0_u64, |sum, class| sum.saturating_add(record.tokens.get(*class).unwrap_or(0)))
    };
    Ok(KoanRow {
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
        cost_usd: record.cost.map(rounded).transpose()?,
        duration_seconds: record.duration_ms.unwrap_or(0) / 1_000,
        // Koan omits an unknown provider.
        provider: label("cli_provider").or(Some(&*record.provider)).filter(|name| *name != "unknown"),
        mission_id: label("mission_id"),
        backfill: label("backfill") == Some("true") && record.quality == Quality::Estimated,
    })
}

/// Converts an amount to a JSON number.
fn rounded(usd: Usd) -> Result<Box<RawValue>, Error> {
    let amount = usd.to_decimal().round_dp(DECIMALS).normalize();
    RawValue::from_string(amount.to_string()).map_err(|error| bug!("an amount as JSON: {error}"))
}
