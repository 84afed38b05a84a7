//! Names the cause of a difference: the first one that explains it exactly.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::cell::{BillCell, BillCellKey};
use super::{BillRow, BillVerdict, Cause, LedgerCall};
use crate::model::event::{is_special, is_special_geo};
use crate::model::time::{HOUR, Timestamp};
use crate::model::tokens::Usd;
use crate::readers::statement::{Class, Name, StatementRow};

/// The sum of calls equals the difference of a row, times a sign, in every class.
fn explains(row: &BillRow, calls: &[&LedgerCall], sign: i128) -> bool {
    Class::ALL.iter().all(|class| {
        row.tokens.get(class.name()).is_none_or(|pair| {
            let sum: i128 = calls.iter().map(|call| call.count(*class)).sum();
            super::difference(pair) == sign * sum
        })
    })
}

fn rows_explain(row: &BillRow, rows: &[&StatementRow]) -> bool {
    Class::ALL.iter().all(|class| {
        row.tokens.get(class.name()).is_none_or(|pair| {
            let sum: i128 = rows.iter().map(|row| i128::from(row.counts.get(class).copied().unwrap_or(0))).sum();
            super::difference(pair) == sum
        })
    })
}

/// Names the cause of every row that differs.
pub(super) fn name_causes(rows: &mut [BillRow], cells: &BTreeMap<BillCellKey, BillCell<'_>>, around: &[LedgerCall]) {
    let common = common_factor(rows, cells);
    let machines = machines(around);
    for (row, (key, cell)) in rows.iter_mut().zip(cells) {
        let differs = matches!(row.verdict, BillVerdict::StatementHigher | BillVerdict::LedgerHigher);
        if differs {
            let cause = if row.has_equal_tokens() {
                of_money(row, cell, common)
            } else {
                of_tokens(row, key, cell, around, &machines)
            };
            row.cause = Some(cause.unwrap_or(Cause::Unknown));
        }
    }
}

fn of_tokens(
    row: &BillRow,
    key: &BillCellKey,
    cell: &BillCell<'_>,
    around: &[LedgerCall],
    machines: &BTreeMap<&str, Timestamp>,
) -> Option<Cause> {
    let chosen = |wanted: &dyn Fn(&LedgerCall) -> bool| -> Option<usize> {
        let calls: Vec<&LedgerCall> = cell.calls.iter().copied().filter(|call| wanted(call)).collect();
        (!calls.is_empty() && explains(row, &calls, -1)).then_some(calls.len())
    };
    if let Some(requests) = chosen(&|call| call.only_telemetry) {
        return Some(Cause::OnlyInTelemetry { requests });
    }
    if let Some(requests) = chosen(&|call| call.purpose.is_some()) {
        return Some(Cause::BackgroundCall { requests });
    }
    let higher = row.tokens.values().all(|pair| super::difference(pair) >= 0);
    let late = machines.iter().find(|(_, last)| higher && **last < key.start);
    if let Some((machine, last_call)) = late {
        return Some(Cause::AnotherMachine { machine: (*machine).to_owned(), last_call: *last_call });
    }
    another_key(row, cell).or_else(|| border(row, key, cell, around)).or_else(|| lifetime(row))
}

/// The rows of one key, workspace or user are the difference.
fn another_key(row: &BillRow, cell: &BillCell<'_>) -> Option<Cause> {
    // Without any call the whole cell differs, and a name is evidence only if the ledger separates by it.
    if cell.calls.is_empty() {
        let name = row.key.as_ref().or(row.workspace.as_ref())?;
        return Some(Cause::AnotherKey { name: name.clone() });
    }
    for kind in [Name::KeyId, Name::Key, Name::Workspace, Name::User] {
        let mut by_name: BTreeMap<&str, Vec<&StatementRow>> = BTreeMap::new();
        for of_name in &cell.rows {
            if let Some(name) = of_name.names.get(&kind) {
                by_name.entry(name).or_default().push(of_name);
            }
        }
        let found = by_name.iter().find(|(_, rows)| by_name.len() > 1 && rows_explain(row, rows));
        if let Some((name, _)) = found {
            return Some(Cause::AnotherKey { name: (*name).to_owned() });
        }
    }
    None
}

/// The calls next to the border of the bucket, inside or outside, are the difference.
fn border(row: &BillRow, key: &BillCellKey, cell: &BillCell<'_>, around: &[LedgerCall]) -> Option<Cause> {
    let same = |call: &&LedgerCall| call.model_key == key.model && call.provider == key.provider;
    let near = |at: Timestamp, edge: Timestamp| (at.millis() - edge.millis()).abs() <= HOUR;
    let inside: Vec<&LedgerCall> = cell.calls.clone();
    let before: Vec<&LedgerCall> = around.iter().filter(same).filter(|call| call.at < key.start).rev().collect();
    let after: Vec<&LedgerCall> = around.iter().filter(same).filter(|call| call.at >= key.end).collect();
    let inside_end: Vec<&LedgerCall> = inside.iter().rev().copied().collect();
    let sides = [(inside, key.start, -1), (inside_end, key.end, -1), (before, key.start, 1), (after, key.end, 1)];
    for (calls, edge, sign) in sides {
        let close = calls.iter().take_while(|call| near(call.at, edge)).count();
        let fits = (1..=close).find(|count| calls.get(..*count).is_some_and(|calls| explains(row, calls, sign)));
        if let Some(requests) = fits {
            return Some(Cause::DayBorder { requests });
        }
    }
    None
}

fn lifetime(row: &BillRow) -> Option<Cause> {
    let is_write = |name: &str| name.starts_with("cache_write");
    let others = row.tokens.iter().filter(|(name, _)| !is_write(name)).all(|(_, pair)| super::difference(pair) == 0);
    let writes: i128 =
        row.tokens.iter().filter(|(name, _)| is_write(name)).map(|(_, pair)| super::difference(pair)).sum();
    (others && writes == 0).then_some(Cause::CacheWriteLifetime)
}

fn factor(ledger: Usd, statement: Usd) -> Option<Decimal> {
    let exact = statement.to_decimal().checked_div(ledger.to_decimal())?;
    Some(exact.round_dp(4).normalize())
}

fn special(cell: &BillCell<'_>) -> Option<String> {
    cell.rows.iter().find_map(|row| {
        let named = |name: Name| row.names.get(&name);
        named(Name::Tier)
            .filter(|tier| is_special(tier))
            .or_else(|| named(Name::Speed).filter(|speed| !speed.is_empty() && *speed != "standard"))
            .or_else(|| named(Name::Geography).filter(|geo| is_special_geo(geo)))
            .or_else(|| named(Name::Context).filter(|window| window.contains('>') || window.contains("1M")))
            .cloned()
    })
}

/// The factor of the list price that all ordinary rows with equal tokens share, if there are at least two.
fn common_factor(rows: &[BillRow], cells: &BTreeMap<BillCellKey, BillCell<'_>>) -> Option<Decimal> {
    let differing = rows.iter().zip(cells.values()).filter(|(row, cell)| {
        row.cause.is_none()
            && row.has_equal_tokens()
            && row.verdict != BillVerdict::Provisional
            && special(cell).is_none()
    });
    let (mut ledger, mut statement, mut count) = (Usd::default(), Usd::default(), 0);
    for (row, _) in differing {
        if let (Some(a), Some(b)) = (row.ledger_usd, row.statement_usd) {
            ledger = ledger.checked_add(a).ok()?;
            statement = statement.checked_add(b).ok()?;
            count += 1;
        }
    }
    (count > 1).then(|| factor(ledger, statement)).flatten()
}

fn of_money(row: &BillRow, cell: &BillCell<'_>, common: Option<Decimal>) -> Option<Cause> {
    let (ledger, statement) = (row.ledger_usd?, row.statement_usd?);
    let own = factor(ledger, statement)?;
    // A cent of rounding is more than this in small rows, so the common factor is tried on the amount.
    let expected = |factor: Decimal| ledger.to_decimal().checked_mul(factor);
    let step = Decimal::new(i64::try_from(cell.rows.len()).ok()?, 2);
    let fits = |factor: Decimal| expected(factor).is_some_and(|usd| (usd - statement.to_decimal()).abs() <= step);
    if let Some(factor) = common.filter(|factor| fits(*factor) && *factor != Decimal::ONE) {
        return Some(Cause::Price { factor });
    }
    if let Some(name) = special(cell) {
        return Some(Cause::Tier { name, factor: own });
    }
    // Without counts, other money can also be other tokens.
    (!row.tokens.is_empty()).then_some(Cause::Price { factor: own })
}

/// The last call of each machine that records name.
fn machines(around: &[LedgerCall]) -> BTreeMap<&str, Timestamp> {
    let mut machines = BTreeMap::new();
    for call in around {
        if let Some(machine) = &call.machine {
            machines.insert(machine.as_str(), call.at);
        }
    }
    machines
}
