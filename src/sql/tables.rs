//! The tables of a query, and the functions that fill them.

use std::collections::BTreeSet;

use rusqlite::types::Value;
use rusqlite::{Connection, Statement};

use super::failed;
use crate::export::{ExportError, ExportOptions, ExportedCall, each_call, quality};
use crate::ledger::{EventFilter, Snapshot};
use crate::model::error::Result;
use crate::model::event::{Envelope, Event, EventKind, Payload, Position, WindowKind};
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Usd};
use crate::report::{Report, ReportKey};
use crate::usage::{AccountWindows, Usage, accounts, sum_between};

/// A table of a query.
pub(crate) struct SqlTable {
    pub name: &'static str,
    /// The meaning of a row.
    pub about: &'static str,
    /// The names and types of the columns.
    pub columns: &'static [(&'static str, &'static str)],
    rows: fn(&Snapshot<'_>, Timestamp, &mut Insert<'_>) -> Result<()>,
}

/// Inserts rows into a table.
struct Insert<'c>(Statement<'c>);

impl Insert<'_> {
    fn row(&mut self, values: impl IntoIterator<Item = Value>) -> Result<()> {
        let done = self.0.execute(rusqlite::params_from_iter(values));
        done.map(|_| ()).map_err(failed)
    }
}

impl SqlTable {
    /// The statement that creates the table.
    pub(super) fn definition(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|(name, kind)| format!("\"{name}\" {kind}")).collect();
        format!("CREATE TABLE \"{}\" ({}) STRICT", self.name, columns.join(", "))
    }

    /// Fills the table.
    pub(super) fn fill(&self, snapshot: &Snapshot<'_>, now: Timestamp, database: &Connection) -> Result<()> {
        let places = vec!["?"; self.columns.len()].join(", ");
        let insert = database.prepare(&format!("INSERT INTO \"{}\" VALUES ({places})", self.name));
        (self.rows)(snapshot, now, &mut Insert(insert.map_err(failed)?))
    }
}

/// The columns of the table `calls`, which are those of the CSV export.
const CALL_COLUMNS: &[(&str, &str)] = &[
    ("position", "INTEGER"),
    ("id", "TEXT"),
    ("occurred_at", "TEXT"),
    ("provider", "TEXT"),
    ("account", "TEXT"),
    ("model", "TEXT"),
    ("agent", "TEXT"),
    ("conversation", "TEXT"),
    ("project", "TEXT"),
    ("labels", "TEXT"),
    ("input", "INTEGER"),
    ("cache_read", "INTEGER"),
    ("cache_write_5m", "INTEGER"),
    ("cache_write_1h", "INTEGER"),
    ("cache_write", "INTEGER"),
    ("output", "INTEGER"),
    ("reasoning", "INTEGER"),
    ("total", "INTEGER"),
    ("reported_usd", "TEXT"),
    ("usd", "TEXT"),
    ("duration_ms", "INTEGER"),
    ("quality", "TEXT"),
    ("residual", "TEXT"),
];

/// Every table, in the order of the documentation.
pub(crate) const TABLES: &[SqlTable] = &[
    SqlTable {
        name: "calls",
        about: "every call as currently corrected; withdrawn calls are not in it",
        columns: CALL_COLUMNS,
        rows: calls,
    },
    SqlTable {
        name: "switches",
        about: "every switch to another provider",
        columns: &[
            ("position", "INTEGER"),
            ("id", "TEXT"),
            ("occurred_at", "TEXT"),
            ("from", "TEXT"),
            ("to", "TEXT"),
            ("reason", "TEXT"),
        ],
        rows: switches,
    },
    SqlTable {
        name: "windows",
        about: "every session and weekly window with usage, with its usage",
        columns: &[
            ("provider", "TEXT"),
            ("account", "TEXT"),
            ("kind", "TEXT"),
            ("started_at", "TEXT"),
            ("resets_at", "TEXT"),
            ("requests", "INTEGER"),
            ("input", "INTEGER"),
            ("cache_read", "INTEGER"),
            ("cache_write_5m", "INTEGER"),
            ("cache_write_1h", "INTEGER"),
            ("cache_write", "INTEGER"),
            ("output", "INTEGER"),
            ("reasoning", "INTEGER"),
            ("total", "INTEGER"),
        ],
        rows: windows,
    },
    SqlTable {
        name: "observations",
        about: "every statement of a provider about a quota window",
        columns: &[
            ("position", "INTEGER"),
            ("id", "TEXT"),
            ("occurred_at", "TEXT"),
            ("provider", "TEXT"),
            ("account", "TEXT"),
            ("window_minutes", "INTEGER"),
            ("scope", "TEXT"),
            ("used_percent", "REAL"),
            ("resets_at", "TEXT"),
            ("status", "TEXT"),
            ("feed", "TEXT"),
        ],
        rows: observations,
    },
    SqlTable {
        name: "decisions",
        about: "every event on which the gate decides: refusals, pauses, limits, overrides, reservations",
        columns: &[
            ("position", "INTEGER"),
            ("id", "TEXT"),
            ("occurred_at", "TEXT"),
            ("kind", "TEXT"),
            ("provider", "TEXT"),
            ("account", "TEXT"),
            ("data", "TEXT"),
        ],
        rows: decisions,
    },
    SqlTable {
        name: "prices",
        about: "the price in US dollars per million tokens of each model with calls, by token class",
        columns: &[
            ("provider", "TEXT"),
            ("model", "TEXT"),
            ("class", "TEXT"),
            ("usd_per_million", "TEXT"),
            ("stated_for", "TEXT"),
            ("position", "INTEGER"),
        ],
        rows: prices,
    },
    SqlTable {
        name: "events",
        about: "every event with its line; a shredded event has its tombstone",
        columns: &[
            ("position", "INTEGER"),
            ("id", "TEXT"),
            ("kind", "TEXT"),
            ("occurred_at", "TEXT"),
            ("recorded_at", "TEXT"),
            ("line", "TEXT"),
        ],
        rows: events,
    },
];

fn text(text: Option<impl ToString>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.to_string()))
}

/// A count. A count beyond 64 bits is an error, because SQL would round it.
fn count(count: impl TryInto<i64>) -> Result<Value> {
    let too_large = || crate::Error::Overflow { what: "a count of the query" };
    count.try_into().map(Value::Integer).map_err(|_| too_large())
}

/// A count that may be unknown.
fn optional_count(number: Option<u64>) -> Result<Value> {
    number.map_or(Ok(Value::Null), count)
}

fn calls(snapshot: &Snapshot<'_>, _: Timestamp, insert: &mut Insert<'_>) -> Result<()> {
    let done = each_call(snapshot, &ExportOptions::default(), &mut |call| Ok(insert.row(call_row(&call)?)?));
    done.map_err(|error| match error {
        ExportError::Ledger(error) => error,
        other => crate::Error::invalid(format!("the table `calls` cannot be filled: {other}")),
    })
}

fn call_row(call: &ExportedCall) -> Result<Vec<Value>> {
    let record = &call.record;
    let mut row = vec![
        count(call.position.get())?,
        text(Some(call.id)),
        text(Some(call.at)),
        text(Some(&record.provider)),
        text(record.account.as_ref()),
        text(record.model.as_ref()),
        text(record.agent.as_ref()),
        text(record.conversation.as_ref()),
        text(record.project.as_ref()),
        text((!record.labels.is_empty()).then(|| serde_json::json!(record.labels))),
    ];
    for class in TokenClass::ALL {
        row.push(optional_count(record.tokens.get(class))?);
    }
    row.push(count(record.tokens.total()?)?);
    row.extend([record.cost, call.usd].map(text));
    row.push(optional_count(record.duration_ms)?);
    row.push(text(Some(quality(record.quality))));
    row.push(text(record.residual.as_ref()));
    Ok(row)
}

/// Visits the events of some kinds that are not voided, with their data in JSON.
fn each_event(
    snapshot: &Snapshot<'_>,
    kinds: &[EventKind],
    visit: &mut dyn FnMut(Position, &Event, &str) -> Result<()>,
) -> Result<()> {
    let filter = EventFilter::between(None, None).kinds(kinds.iter().copied());
    snapshot.find_forward(&filter, Position::START.next(), &mut |position, line| {
        let envelope = Envelope::parse(position, line)?;
        let data = envelope.data.get();
        let event = envelope.open(position)?;
        if !snapshot.is_void(event.id)? {
            visit(position, &event, data)?;
        }
        Ok(true)
    })
}

fn switches(snapshot: &Snapshot<'_>, _: Timestamp, insert: &mut Insert<'_>) -> Result<()> {
    each_event(snapshot, &[EventKind::ProviderSwitched], &mut |position, event, _| {
        let Payload::ProviderSwitched(switch) = &event.payload else { return Ok(()) };
        insert.row([
            count(position.get())?,
            text(Some(event.id)),
            text(Some(event.occurred_at)),
            text(switch.from.as_ref()),
            text(Some(&switch.to)),
            text(switch.reason.as_ref()),
        ])
    })
}

fn observations(snapshot: &Snapshot<'_>, _: Timestamp, insert: &mut Insert<'_>) -> Result<()> {
    each_event(snapshot, &[EventKind::QuotaObserved], &mut |position, event, _| {
        let Payload::QuotaObserved(observed) = &event.payload else { return Ok(()) };
        let used = observed.used_percent.map(|used| f64::from(used.hundredths()) / 100.0);
        insert.row([
            count(position.get())?,
            text(Some(event.id)),
            text(Some(event.occurred_at)),
            text(Some(&observed.provider)),
            text(observed.account.as_ref()),
            Value::Integer(observed.window_minutes.into()),
            text(observed.scope.as_ref()),
            used.map_or(Value::Null, Value::Real),
            text(observed.resets_at),
            text(observed.status.as_ref()),
            text(Some(&observed.feed)),
        ])
    })
}

/// The kinds of the table `decisions`.
const DECIDING: [EventKind; 9] = [
    EventKind::QuotaExhausted,
    EventKind::Paused,
    EventKind::Resumed,
    EventKind::LimitSet,
    EventKind::ProviderDeclared,
    EventKind::UsageOverridden,
    EventKind::BudgetReserved,
    EventKind::BudgetSettled,
    EventKind::BudgetReleased,
];

fn decisions(snapshot: &Snapshot<'_>, _: Timestamp, insert: &mut Insert<'_>) -> Result<()> {
    each_event(snapshot, &DECIDING, &mut |position, event, data| {
        let fields: serde_json::Value = serde_json::from_str(data)
            .map_err(|error| crate::Error::damaged(position, format!("its data is not JSON ({error})")))?;
        let named = |name: &str| fields.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        insert.row([
            count(position.get())?,
            text(Some(event.id)),
            text(Some(event.occurred_at)),
            text(Some(event.payload.kind())),
            text(named("provider")),
            text(named("account")),
            text(Some(data)),
        ])
    })
}

fn windows(snapshot: &Snapshot<'_>, _: Timestamp, insert: &mut Insert<'_>) -> Result<()> {
    for account in accounts(snapshot.view())? {
        let ever = AccountWindows::ever(snapshot.view(), &account)?;
        for (kind, name) in [(WindowKind::Session, "session"), (WindowKind::Weekly, "weekly")] {
            for window in ever.all(kind)? {
                let totals = sum_between(snapshot.view(), &account, window.start, window.resets_at)?;
                let usage = Usage::from_totals(&totals)?;
                let mut row = vec![
                    text(Some(&account.provider)),
                    text(account.account.as_ref()),
                    text(Some(name)),
                    text(Some(window.start)),
                    text(Some(window.resets_at)),
                    count(usage.requests)?,
                ];
                for class in TokenClass::ALL {
                    row.push(count(usage.tokens.get(class))?);
                }
                row.push(count(usage.tokens.total())?);
                insert.row(row)?;
            }
        }
    }
    Ok(())
}

fn prices(snapshot: &Snapshot<'_>, now: Timestamp, insert: &mut Insert<'_>) -> Result<()> {
    let prices = snapshot.prices()?;
    let report = snapshot.report(&Report::by_all([ReportKey::Provider, ReportKey::Model]))?;
    let models: BTreeSet<(String, String)> = report
        .rows
        .into_iter()
        .filter_map(|row| match row.keys.as_slice() {
            [Some(provider), Some(model)] => Some((provider.clone(), model.clone())),
            _ => None, // a call without a model has no price
        })
        .collect();
    for (provider, model) in models {
        let Some(quote) = prices.quote(&provider, &model, now, None, 0) else { continue };
        for class in TokenClass::ALL {
            let Some(usd) = quote.rates.of(class) else { continue };
            insert.row([
                text(Some(&provider)),
                text(Some(&model)),
                text(Some(class.name())),
                text(Some::<Usd>(usd)),
                text(Some(&quote.stated_for)),
                quote.position.map_or(Ok(Value::Null), |position| count(position.get()))?,
            ])?;
        }
    }
    Ok(())
}

fn events(snapshot: &Snapshot<'_>, _: Timestamp, insert: &mut Insert<'_>) -> Result<()> {
    snapshot.lines(Position::START.next(), &mut |position, line| {
        let envelope = Envelope::parse(position, line)?;
        insert.row([
            count(position.get())?,
            text(Some(envelope.id)),
            text(Some(&envelope.kind)),
            text(Some(envelope.occurred_at)),
            text(Some(envelope.recorded_at)),
            text(Some(line)),
        ])?;
        Ok(true)
    })
}

#[cfg(test)]
mod tests {
    use super::CALL_COLUMNS;

    #[test]
    fn calls_have_the_columns_of_the_csv_export() {
        let names: Vec<&str> = CALL_COLUMNS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, crate::export::CALL_COLUMNS);
    }
}
