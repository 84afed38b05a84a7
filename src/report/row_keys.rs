//! The keys of a row.

use super::{Report, ReportKey};
use crate::projection::Series;

/// A row's keys in the report's order, from its names, its time and its window.
pub(super) fn keys(report: &Report, series: &Series<'_>, time: &[String], window: Option<&str>) -> Vec<Option<String>> {
    let mut time = time.iter();
    let value = |key: &ReportKey| match key {
        ReportKey::Window => window.map(str::to_owned),
        key if key.is_time() => time.next().cloned(),
        key => key.of(series).map(str::to_owned),
    };
    report.by.iter().map(value).collect()
}
