//! Reads telemetry in OpenTelemetry's protocol (OTLP): the calls in log records and spans.
//!
//! | from | item that states a call | identified by |
//! |---|---|---|
//! | an agent with its own names | the items that its descriptor names (`import/agents`) | request or response id, else its conversation, time and counts |
//! | any GenAI instrumentation | span or log record with counts and a model | response id, its place in the trace |
//!
//! Spans of agents and workflows are sums of such calls and add nothing. A span that contains calls with the same total
//! is a sum, too. Other items with tokens are unknown, and reported as such. Metrics are sums: see [`MetricSums`].
//!
//! A call that an agent's log also contains is one record, whichever arrives first. Without a common id they match if
//! conversation, model and counts agree within five minutes.

mod attributes;
mod call;
mod counts;
mod gen_ai;
#[cfg(test)]
mod gen_ai_tests;
mod record;
#[cfg(test)]
mod sibling_tests;
mod sums;
#[cfg(test)]
mod tests;
mod trace;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use self::attributes::flat;
use self::call::TelemetryItem;
use self::trace::Spans;
use self::trace::TracePlace;
use super::engine::parsed_call::ParsedCall;
use super::engine::project_paths;
use crate::model::event::EventData;
use crate::model::secrets;

#[cfg(feature = "web")]
pub(crate) use record::TelemetryRecorder;
#[cfg(any(test, feature = "internals"))]
pub use record::take;
pub use record::{Ingested, RecordedCalls};
pub use sums::{MetricSum, MetricSums};

/// The content of one message.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    calls: Vec<(ParsedCall, TracePlace)>,
    /// Reasons why items with tokens cannot be read, one entry per item.
    pub unread: Vec<String>,
}

impl Telemetry {
    /// Reads log records.
    pub fn of_logs(request: &ExportLogsServiceRequest) -> Self {
        let mut telemetry = Self::default();
        for of_resource in &request.resource_logs {
            let resource = flat(of_resource.resource.as_ref().map_or(&[], |resource| &resource.attributes));
            for of_scope in &of_resource.scope_logs {
                let scope = of_scope.scope.as_ref().map_or("", |scope| &*scope.name);
                of_scope
                    .log_records
                    .iter()
                    .for_each(|record| telemetry.add(TelemetryItem::of_log(record, &resource, scope)));
            }
        }
        telemetry
    }

    /// Reads spans.
    pub fn of_spans(request: &ExportTraceServiceRequest) -> Self {
        let mut telemetry = Self::default();
        let around = Spans::of(request);
        for of_resource in &request.resource_spans {
            let resource = flat(of_resource.resource.as_ref().map_or(&[], |resource| &resource.attributes));
            for of_scope in &of_resource.scope_spans {
                let scope = of_scope.scope.as_ref().map_or("", |scope| &*scope.name);
                for span in &of_scope.spans {
                    telemetry.add(TelemetryItem::of_span(span, around.within(span), &resource, scope));
                }
            }
        }
        telemetry
    }

    /// Reads the sums of metrics. They add no record.
    pub fn of_metrics(request: &ExportMetricsServiceRequest, sums: &mut MetricSums) -> Vec<String> {
        sums.add(request)
    }

    /// Returns the number of calls.
    pub const fn calls(&self) -> usize {
        self.calls.len()
    }

    fn add(&mut self, item: TelemetryItem<'_>) {
        let place = item.place.clone();
        match item.call() {
            Ok(call) => self.calls.extend(call.map(|mut call| {
                call.record.scrub();
                project_paths::unify(&mut call.record);
                (call, place)
            })),
            Err(why) => self.unread.push(secrets::short(&why).into_owned()),
        }
    }
}
