//! Compares the sums of metrics with the recorded calls, to show whether a feed is complete. Sums add no record.

use std::collections::{BTreeMap, HashMap, HashSet};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use serde::Serialize;
use serde_json::Value;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::attributes::flat;
use crate::import::agents;
use crate::import::engine::agent::Agent;
use crate::import::engine::fields;
use crate::import::engine::telemetry_vocabulary::MetricNames;
use crate::model::event::TokenRecord;
use crate::model::secrets;

/// The token metric of the GenAI convention.
static CONVENTION: MetricNames = MetricNames {
    name: "gen_ai.client.token.usage",
    kind: "gen_ai.token.type",
    summed: &["input", "output"],
    parts: &[],
};

/// Returns the metric with this name, and the agent it belongs to.
fn metric(name: &str) -> Option<(Option<&'static str>, &'static MetricNames)> {
    if name == CONVENTION.name {
        return Some((None, &CONVENTION));
    }
    let own = |agent: &&'static Agent| Some((Some(agent.name), agent.telemetry?.metric.as_ref()?));
    agents::ALL.iter().filter_map(own).find(|(_, metric)| metric.name == name)
}

/// Returns the agent of a service that sends each metric twice: under its own name and under that of the convention.
fn own_service(service: &str) -> Option<&'static str> {
    let is_own = |agent: &&&'static Agent| {
        agent.telemetry.is_some_and(|words| words.service.is_some_and(|own| service.starts_with(own)))
    };
    agents::ALL.iter().find(is_own).map(|agent| agent.name)
}

/// Maximum number of pairs of agent and model. Further ones are summed together, without names.
const NAMES: usize = 1_000;
/// Maximum number of metric series. A further series is ignored, because its sum could not be continued.
const SERIES: usize = 10_000;
/// Maximum length of a name in bytes.
const NAME: usize = 200;

/// Number of calls that are remembered, so that a repeated message does not count twice.
const REMEMBERED: usize = 1 << 20;

/// Tokens of one agent and model, by metrics and by records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MetricSum {
    /// The agent.
    pub agent: String,
    /// The model; empty if unknown.
    pub model: String,
    /// Tokens according to metrics.
    pub stated: u64,
    /// Tokens of calls from logs and spans.
    pub recorded: u64,
}

/// Sums since the receiver started.
#[derive(Debug, Default)]
pub struct MetricSums {
    by_model: BTreeMap<(String, String), MetricSum>,
    /// Hashes of the calls that were counted.
    calls: HashSet<u64>,
    /// Last time and value of each series, by a hash of its name.
    series: HashMap<u128, (u64, f64)>,
}

impl MetricSums {
    /// Adds a reported call.
    pub fn record(&mut self, record: &TokenRecord) {
        if self.calls.len() >= REMEMBERED {
            self.calls.clear();
        }
        if record.keys.first().is_some_and(|key| !self.calls.insert(xxh3_64(key.as_bytes()))) {
            return; // sent again
        }
        let sum = self.sum(record.agent.as_deref().unwrap_or_default(), record.model.as_deref().unwrap_or_default());
        sum.recorded = sum.recorded.saturating_add(record.tokens.total().unwrap_or(0));
    }

    /// Iterates over the sums by agent and model.
    pub fn list(&self) -> impl Iterator<Item = &MetricSum> {
        self.by_model.values()
    }

    fn sum(&mut self, agent: &str, model: &str) -> &mut MetricSum {
        let (agent, model) = (secrets::text(agent), secrets::text(model));
        let (mut agent, mut model) = (short(&agent), short(&model));
        let key = |agent: &str, model: &str| (agent.to_owned(), model.to_owned());
        if self.by_model.len() >= NAMES && !self.by_model.contains_key(&key(agent, model)) {
            (agent, model) = ("", "");
        }
        let new = || MetricSum { agent: agent.to_owned(), model: model.to_owned(), ..MetricSum::default() };
        self.by_model.entry(key(agent, model)).or_insert_with(new)
    }

    pub(super) fn add(&mut self, request: &ExportMetricsServiceRequest) -> Vec<String> {
        let mut unread = Vec::new();
        for of_resource in &request.resource_metrics {
            let resource = flat(of_resource.resource.as_ref().map_or(&[], |resource| &resource.attributes));
            for metric in of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                let Some((agent, known)) = self::metric(&metric.name) else { continue };
                let name = known.name;
                let service = fields::text(&resource, "service.name").unwrap_or_default();
                let own = own_service(service);
                if agent.is_none() && own.is_some() {
                    continue;
                }
                let agent = own.or(agent).map_or_else(|| secrets::text(service).to_lowercase(), str::to_owned);
                let Some(points) = points(metric.data.as_ref()) else {
                    unread.push(format!("metric `{name}` is neither a sum nor a histogram"));
                    continue;
                };
                for point in points {
                    unread.extend(self.point(known, &agent, &resource, &point).err());
                }
            }
        }
        unread
    }

    /// Adds a data point. An error states why its meaning is unknown.
    fn point(
        &mut self,
        metric: &MetricNames,
        agent: &str,
        resource: &Value,
        point: &DataPoint<'_>,
    ) -> Result<(), String> {
        let (name, attributes) = (metric.name, flat(point.attributes));
        let Some(kind) = fields::text(&attributes, metric.kind) else {
            return Err(format!("metric `{name}` without `{}`", metric.kind));
        };
        if !metric.summed.contains(&kind) {
            return if metric.parts.contains(&kind) {
                Ok(())
            } else {
                Err(format!("metric `{name}` of an unknown `{}`: {}", metric.kind, secrets::quoted(kind)))
            };
        }
        // A delta series continues over all intervals. A cumulative one restarts with a new start time.
        let begun = if point.cumulative { point.started } else { 0 };
        let series = xxh3_128(format!("{name}\n{resource}\n{attributes}\n{begun}").as_bytes());
        if self.series.len() >= SERIES && !self.series.contains_key(&series) {
            return Err(format!("metric `{name}` in over {SERIES} series: restart the server to count new ones"));
        }
        let (last, value) = self.series.get(&series).copied().unwrap_or((0, 0.0));
        if point.at <= last {
            return Ok(()); // sent again
        }
        let more = if point.cumulative { point.value - value } else { point.value };
        self.series.insert(series, (point.at, point.value));
        let model = ["model", "gen_ai.response.model", "gen_ai.request.model"];
        let model = model.iter().find_map(|name| fields::text(&attributes, name)).unwrap_or_default();
        let sum = self.sum(agent, model);
        sum.stated = sum.stated.saturating_add(more.max(0.0).round() as u64);
        Ok(())
    }
}

/// Truncates a name that is too long.
fn short(name: &str) -> &str {
    let mut end = name.len().min(NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or(name)
}

struct DataPoint<'p> {
    attributes: &'p [KeyValue],
    started: u64,
    at: u64,
    value: f64,
    cumulative: bool,
}

fn points(data: Option<&Data>) -> Option<Vec<DataPoint<'_>>> {
    let cumulative = |temporality: i32| temporality == AggregationTemporality::Cumulative as i32;
    Some(match data? {
        Data::Sum(sum) => {
            let point = |point: &'_ opentelemetry_proto::tonic::metrics::v1::NumberDataPoint| match point.value {
                Some(Number::AsInt(number)) => number as f64,
                Some(Number::AsDouble(number)) => number,
                None => 0.0,
            };
            let of = |one| DataPoint {
                value: point(one),
                attributes: &one.attributes,
                started: one.start_time_unix_nano,
                at: one.time_unix_nano,
                cumulative: cumulative(sum.aggregation_temporality),
            };
            sum.data_points.iter().map(of).collect()
        }
        Data::Histogram(histogram) => {
            let points = histogram.data_points.iter().map(|one| DataPoint {
                attributes: &one.attributes,
                started: one.start_time_unix_nano,
                at: one.time_unix_nano,
                value: one.sum.unwrap_or(0.0),
                cumulative: cumulative(histogram.aggregation_temporality),
            });
            points.collect()
        }
        _ => return None,
    })
}
