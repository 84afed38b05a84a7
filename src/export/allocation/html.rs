//! A page that states each part. It loads nothing, runs no script, and follows the reader's colour scheme.

use std::fmt::Write as _;
use std::io::Write;

use super::amount;
use crate::export::ExportError;
use crate::report::{AllocationReceiver, AllocationTable};

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1a1a;--soft:#666;--line:#ccc;--paper:#fff}
@media (prefers-color-scheme:dark){:root{--ink:#e8e8e8;--soft:#9a9a9a;--line:#444;--paper:#161616}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .25rem}
p,dl{color:var(--soft);margin:.25rem 0}dl{display:grid;grid-template-columns:max-content 1fr;gap:0 1rem}dd{margin:0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{font-weight:600}.n{text-align:right;padding-right:0;white-space:nowrap}tfoot td{font-weight:600;border-bottom:0}
@media print{:root{--ink:#000;--soft:#444;--line:#999;--paper:#fff}body{margin:0;max-width:none;font-size:11pt}
section{break-inside:avoid}h2{break-after:avoid}}
";

pub(super) fn write(table: &AllocationTable, out: &mut dyn Write) -> Result<(), ExportError> {
    out.write_all(page(table).as_bytes())?;
    Ok(())
}

fn page(table: &AllocationTable) -> String {
    let usd = |value| amount(value, table.unit);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>Allocation by {by}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Allocation by {by}</h1>\n<p>{since} to {until} (end exclusive)</p>\n",
        by = escaped(&table.by),
        since = table.since,
        until = table.until,
    );
    page.push_str("<table>\n<thead><tr><th>Receiver</th><th class=\"n\">USD</th></tr></thead>\n<tbody>\n");
    for receiver in &table.receivers {
        let _ = writeln!(page, "<tr><td>{}</td><td class=\"n\">{}</td></tr>", name(receiver), usd(receiver.usd));
    }
    let _ = writeln!(
        page,
        "</tbody>\n<tfoot><tr><td>Total</td><td class=\"n\">{}</td></tr></tfoot>\n</table>",
        usd(table.bill)
    );
    for receiver in &table.receivers {
        section(&mut page, receiver, table);
    }
    basis(&mut page, table);
    page.push_str("</body>\n</html>\n");
    page
}

/// The lines of one receiver.
fn section(page: &mut String, receiver: &AllocationReceiver, table: &AllocationTable) {
    let _ = writeln!(
        page,
        "<section>\n<h2>{}</h2>\n<table>\n<thead><tr><th>Source</th><th>Provider</th><th>Account</th><th>Model</th>\
         <th class=\"n\">USD</th></tr></thead>\n<tbody>",
        name(receiver)
    );
    for line in &receiver.lines {
        let source =
            line.rule.as_ref().map_or_else(|| "own usage".to_owned(), |rule| format!("rule {}", escaped(rule)));
        let cell = |text: Option<&str>| escaped(text.unwrap_or_default());
        let _ = writeln!(
            page,
            "<tr><td>{source}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"n\">{}</td></tr>",
            escaped(&line.provider),
            cell(line.account.as_deref()),
            cell(line.model.as_deref()),
            amount(line.usd, table.unit)
        );
    }
    let _ = writeln!(
        page,
        "</tbody>\n<tfoot><tr><td colspan=\"4\">Total</td><td class=\"n\">{}</td></tr></tfoot>\n</table>\n</section>",
        amount(receiver.usd, table.unit)
    );
}

/// What the answer rests on.
fn basis(page: &mut String, table: &AllocationTable) {
    let _ = writeln!(
        page,
        "<section>\n<h2>Basis</h2>\n<dl>\n<dt>Computed cost</dt><dd>{} USD</dd>\n<dt>Smallest unit</dt><dd>{} USD</dd>\n\
         <dt>Ledger</dt><dd>{} events, root {}</dd>",
        table.cost, table.unit, table.position, table.root
    );
    if table.unpriced_requests > 0 {
        let _ = writeln!(page, "<dt>Calls without a known price</dt><dd>{}</dd>", table.unpriced_requests);
    }
    for rule in &table.rules {
        let stayed = if rule.rest_stayed { "; its rest stayed, because no receiver had usage" } else { "" };
        let _ = writeln!(
            page,
            "<dt>Rule {}</dt><dd>position {}, split {} USD{stayed}</dd>",
            escaped(&rule.name),
            rule.position,
            rule.cost
        );
    }
    page.push_str("</dl>\n</section>\n");
}

fn name(receiver: &AllocationReceiver) -> String {
    receiver.name.as_deref().map_or_else(|| "(no value)".to_owned(), escaped)
}

/// A foreign text in HTML. Invisible and direction-changing characters are written out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            character if character.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            character => out.push(character),
        }
    }
    out
}
