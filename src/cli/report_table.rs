//! Prints a report as a table, with as many columns as the terminal has room for.

use std::collections::BTreeMap;
use std::io::Write;

use comfy_table::ContentArrangement;
use rust_decimal::Decimal;

use super::short_names::shortened as shortened_names;
use crate::api::report_rows;

use crate::model::humanize::number::scaled;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::{TokenClass, Usd};
use crate::present::clock;
use crate::present::failure::Failure;
use crate::present::money::decimal;
use crate::present::output::{self, EscapedText, grouped};
use crate::report::{ConversationTimes, ReportKey, ReportTable};
use crate::usage::Usage;

/// Level of detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DetailLevel {
    /// Every class, exact numbers.
    Full,
    /// Every class, abbreviated numbers.
    Short,
    /// Cache reads and writes together, output including reasoning, abbreviated numbers.
    Merged,
    /// Requests and totals only.
    Least,
    /// The same, and shares without bars.
    Bare,
}

/// A numeric column: heading, and value of a row.
type Column = (&'static str, fn(&Usage) -> u128);

const REQUESTS: Column = ("requests", |usage| usage.requests.into());
const TOTAL: Column = ("total", |usage| usage.tokens.total());
const CLASSES: [Column; 5] = [
    ("input", |usage| usage.tokens.get(TokenClass::Input)),
    ("cache\nread", |usage| usage.tokens.get(TokenClass::CacheRead)),
    ("cache\nwrite", |usage| usage.tokens.cache_write()),
    ("output", |usage| usage.tokens.get(TokenClass::Output)),
    ("reasoning", |usage| usage.tokens.get(TokenClass::Reasoning)),
];
const MERGED: [Column; 3] = [
    ("input", |usage| usage.tokens.get(TokenClass::Input)),
    ("cache\nr + w", |usage| usage.tokens.get(TokenClass::CacheRead) + usage.tokens.cache_write()),
    ("output +\nreasoning", |usage| usage.tokens.get(TokenClass::Output) + usage.tokens.get(TokenClass::Reasoning)),
];

impl DetailLevel {
    /// Returns the columns. A class without any tokens has no column.
    fn columns(self, total: &Usage) -> Vec<Column> {
        let classes: &[Column] = match self {
            Self::Full | Self::Short => &CLASSES,
            Self::Merged => &MERGED,
            Self::Least | Self::Bare => &[],
        };
        let used = classes.iter().filter(|(_, value)| value(total) > 0).copied();
        std::iter::once(REQUESTS).chain(used).chain([TOTAL]).collect()
    }

    fn number(self, number: u128) -> String {
        if self == Self::Full { grouped(number) } else { scaled(number) }
    }

    /// Returns the decimals of reported amounts: as many as the most precise one, or two.
    fn decimals(self, answer: &ReportTable) -> u32 {
        let amounts = answer.rows.iter().map(|row| &row.usage).chain([&answer.total]);
        let scales = amounts.filter_map(|usage| usage.cost.reported_usd).map(|usd| decimal(usd).scale());
        if self == Self::Full { scales.max().unwrap_or(0).max(2) } else { 2 }
    }

    /// Returns the decimals of computed amounts: two, or four for small amounts.
    fn computed_decimals(self, answer: &ReportTable) -> u32 {
        let total = answer.total.cost.usd.map(decimal).unwrap_or_default();
        if self == Self::Full && total < Decimal::ONE { 4 } else { 2 }
    }

    fn heading(self, name: &str) -> String {
        if self == Self::Full { name.replace('\n', " ") } else { name.to_owned() }
    }
}

fn money(usd: Option<Usd>, decimals: u32) -> String {
    let Some(usd) = usd else { return "-".to_owned() };
    let mut amount = decimal(usd);
    amount.rescale(decimals);
    let sign = if amount.is_sign_negative() && !amount.is_zero() { "-" } else { "" };
    format!("{sign}${}", amount.abs())
}

/// Formats `████░░░░░░  41.2 %` from a share in thousandths; without a bar in a narrow terminal.
fn share_bar(share: Option<u32>, has_bar: bool) -> String {
    const CELLS: usize = 10;
    let Some(share) = share else { return "-".to_owned() };
    if !has_bar {
        return format!("{}.{} %", share / 10, share % 10);
    }
    let full = (share as usize + 50) / 100;
    let full = full.min(CELLS);
    format!("{}{} {:>3}.{} %", "█".repeat(full), "░".repeat(CELLS - full), share / 10, share % 10)
}

/// Formats a period as `2026-11-03 11:45–12:30`.
fn active((since, until): (Timestamp, Timestamp), zone: Zone) -> String {
    let (since, until) = (clock::short(since, zone), clock::short(until, zone));
    let is_same_day = since.get(..10) == until.get(..10);
    format!("{since}–{}", if is_same_day { until.get(11..).unwrap_or(&until) } else { &until })
}

/// What a table shows beside the numbers.
#[derive(Clone, Debug)]
pub(crate) struct TableOptions {
    /// When the conversations were active, for a table by conversation.
    pub times: Option<(ConversationTimes, Zone)>,
    /// Each row's share of the total.
    pub share: bool,
    /// Whole names and every digit, however wide the terminal is.
    pub wide: bool,
}

/// Prints the table with the most detail that fits.
pub(crate) fn write(answer: &ReportTable, shown: &TableOptions, out: &mut dyn Write) -> Result<(), Failure> {
    if shown.wide {
        return output::write_table(
            out,
            table(answer, DetailLevel::Full, shown).set_content_arrangement(ContentArrangement::Disabled),
        );
    }
    let names = answer.keys.len() + usize::from(shown.times.is_some());
    for detail in [DetailLevel::Full, DetailLevel::Short, DetailLevel::Merged, DetailLevel::Least] {
        let table = table(answer, detail, shown);
        if output::fits(&table, names) {
            output::write_table(out, &table)?;
            return if detail == DetailLevel::Full { Ok(()) } else { shortened(out) };
        }
    }
    output::write_table(out, &table(answer, DetailLevel::Bare, shown))?;
    shortened(out)
}

fn shortened(out: &mut dyn Write) -> Result<(), Failure> {
    Ok(writeln!(out, "(shortened to fit: --wide, --csv and --json have every digit)")?)
}

fn table(answer: &ReportTable, detail: DetailLevel, shown: &TableOptions) -> comfy_table::Table {
    let (share, wide) = (shown.share, shown.wide);
    let is_terminal = comfy_table::Table::new().width().is_some();
    let columns = detail.columns(&answer.total);
    let priced = answer.total.cost.reported_usd.is_some();
    let mut header: Vec<String> = answer.keys.iter().map(ReportKey::name).collect();
    if shown.times.is_some() {
        header.push("active".to_owned());
    }
    header.extend(columns.iter().map(|(name, _)| detail.heading(name)));
    if priced {
        header.push(detail.heading("reported\nUSD"));
    }
    let computed = answer.total.cost.usd.is_some();
    if computed {
        header.push(detail.heading("computed\nUSD"));
    }
    if share {
        header.push("share".to_owned());
    }
    let (decimals, computed_decimals) = (detail.decimals(answer), detail.computed_decimals(answer));
    let cells = |mut cells: Vec<String>, usage: &Usage| {
        cells.extend(columns.iter().map(|(_, value)| detail.number(value(usage))));
        if priced {
            cells.push(money(usage.cost.reported_usd, decimals));
        }
        if computed {
            cells.push(money(usage.cost.usd, computed_decimals));
        }
        cells
    };
    let short: Vec<BTreeMap<&str, String>> = answer
        .keys
        .iter()
        .enumerate()
        .map(|(column, key)| {
            let values = answer.rows.iter().filter_map(|row| row.keys.get(column).and_then(Option::as_deref));
            if wide { BTreeMap::new() } else { shortened_names(key, values, is_terminal) }
        })
        .collect();
    let rows = answer.rows.iter().map(|row| {
        let name = |(key, names): (&Option<String>, &BTreeMap<&str, String>)| {
            let Some(key) = key else { return "-".to_owned() };
            EscapedText(names.get(key.as_str()).unwrap_or(key)).to_string()
        };
        let keys = row.keys.iter().zip(&short).map(name);
        let conversation = answer.keys.iter().position(|key| *key == ReportKey::Conversation);
        let conversation = conversation.and_then(|column| row.keys.get(column)?.as_deref());
        let times = shown.times.as_ref().map(|(times, zone)| {
            let of_row = conversation.and_then(|name| times.get(name));
            of_row.map_or_else(|| "-".to_owned(), |span| active(*span, *zone))
        });
        let mut cells = cells(keys.chain(times).collect(), &row.usage);
        if share {
            cells.push(share_bar(report_rows::share(answer, row), detail != DetailLevel::Bare));
        }
        cells
    });
    let names = answer.keys.len() + usize::from(shown.times.is_some());
    let mut total = vec![String::new(); names];
    if let Some(first) = total.first_mut() {
        "total".clone_into(first);
    }
    output::table(header, names, rows.chain([cells(total, &answer.total)]))
}
