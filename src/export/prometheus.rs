use std::collections::BTreeMap;
use std::io::Write;

use rust_decimal::Decimal;

use super::{ExportError, ExportOptions, Exporter, named};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::tokens::TokenClass;
use crate::report::{Report, ReportKey, ReportTable};
use crate::usage::WindowUsage;

/// Exports counters and windows in the text format of [Prometheus](https://prometheus.io), for the text file collector
/// of the node exporter or an HTTP server.
///
/// Labels are provider, account, model and token class. Conversations and projects are excluded because their number is
/// unbounded.
pub(super) struct Prometheus;

impl Exporter for Prometheus {
    fn name(&self) -> &'static str {
        "prometheus"
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
        let mut report = Report::by(ReportKey::Provider).and(ReportKey::Account).and(ReportKey::Model);
        if let Some(provider) = &options.provider {
            report = report.only(ReportKey::Provider, provider)?;
        }
        let table = snapshot.report(&report)?;
        let mut page = MetricsPage::default();
        counters(&table, &mut page)?;
        let status = snapshot.status(options.now(snapshot)?)?;
        for one in &status.providers {
            let usage = &one.usage;
            if options.provider.as_ref().is_some_and(|provider| *provider != usage.provider) {
                continue;
            }
            let account = usage.account.as_deref().unwrap_or_default();
            let names = [("provider", &*usage.provider), ("account", account)];
            for (window, usage) in [("session", &usage.session), ("weekly", &usage.weekly)] {
                windows(&names, window, usage, &mut page);
            }
            page.add("usage_ledger_gated", &names, u8::from(one.budget.gated));
        }
        page.add("usage_ledger_provider_switches_total", &[], status.switches);
        page.add("usage_ledger_events_total", &[], snapshot.head()?.position);
        page.write(out)
    }
}

/// Name, type and help text of each metric.
const METRICS: [(&str, &str, &str); 12] = [
    ("usage_ledger_requests_total", "counter", "Calls that were recorded."),
    ("usage_ledger_tokens_total", "counter", "Tokens by class; the classes are disjoint."),
    // Reported and computed cost are of the same calls, so they have different names and cannot be summed by mistake.
    ("usage_ledger_reported_cost_usd_total", "counter", "Cost in US dollars that agents and providers reported."),
    ("usage_ledger_computed_cost_usd_total", "counter", "Cost in US dollars, computed by the price table."),
    ("usage_ledger_unpriced_requests_total", "counter", "Calls without a known price."),
    ("usage_ledger_window_tokens", "gauge", "Tokens used in the present quota window."),
    ("usage_ledger_window_limit_tokens", "gauge", "The limit of the quota window, in weighted tokens."),
    ("usage_ledger_window_used_ratio", "gauge", "Share of the quota window that is used; 1 is all of it."),
    ("usage_ledger_window_reset_timestamp_seconds", "gauge", "When the quota window ends."),
    ("usage_ledger_gated", "gauge", "Whether runs on the provider must wait."),
    ("usage_ledger_provider_switches_total", "counter", "Switches from one provider to another."),
    ("usage_ledger_events_total", "counter", "Events in the ledger."),
];

fn counters(table: &ReportTable, page: &mut MetricsPage) -> Result<()> {
    for row in &table.rows {
        let [provider, account, model] = named(row)?;
        let names = [("provider", provider), ("account", account), ("model", model)];
        let with = |name: &'static str, value: &'static str| [names.as_slice(), &[(name, value)]].concat();
        page.add("usage_ledger_requests_total", &names, row.usage.requests);
        // A class that no record reports is unknown, not 0.
        for (class, tokens) in TokenClass::ALL.map(|class| (class, row.usage.tokens.get(class))) {
            if tokens > 0 {
                page.add("usage_ledger_tokens_total", &with("class", class.name()), tokens);
            }
        }
        let cost = &row.usage.cost;
        for (metric, usd) in [
            ("usage_ledger_reported_cost_usd_total", cost.reported_usd),
            ("usage_ledger_computed_cost_usd_total", cost.usd),
        ] {
            if let Some(usd) = usd {
                page.add(metric, &names, usd);
            }
        }
        page.add("usage_ledger_unpriced_requests_total", &names, cost.unpriced_requests);
    }
    Ok(())
}

fn windows(names: &[(&str, &str)], window: &str, usage: &WindowUsage, page: &mut MetricsPage) {
    let names = [names, &[("window", window)]].concat();
    page.add("usage_ledger_window_tokens", &names, usage.usage.tokens.total());
    if let Some(limit) = usage.limit {
        page.add("usage_ledger_window_limit_tokens", &names, limit);
    }
    if let Some(used) = usage.used() {
        page.add("usage_ledger_window_used_ratio", &names, Decimal::new(used.hundredths().into(), 4).normalize());
    }
    if let Some(at) = usage.resets_at {
        page.add("usage_ledger_window_reset_timestamp_seconds", &names, at.millis().div_euclid(1_000));
    }
}

/// Samples by metric.
#[derive(Default)]
struct MetricsPage(BTreeMap<&'static str, Vec<String>>);

impl MetricsPage {
    fn add(&mut self, metric: &'static str, names: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<String> = names.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.0.entry(metric).or_default().push(format!("{metric}{labels} {value}"));
    }

    fn write(&self, out: &mut dyn Write) -> Result<(), ExportError> {
        for (metric, kind, help) in METRICS {
            let Some(samples) = self.0.get(metric) else { continue };
            writeln!(out, "# HELP {metric} {help}\n# TYPE {metric} {kind}")?;
            for sample in samples {
                writeln!(out, "{sample}")?;
            }
        }
        Ok(())
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
