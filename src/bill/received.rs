//! Statements as events, and events as statements.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::provider_of;
use crate::ledger::{ReceivedStatement, is_within};
use crate::model::error::{Error, Result};
use crate::model::event::{StatementBucket, StatementReceived};
use crate::model::time::Timestamp;
use crate::model::tokens::Usd;
use crate::readers::statement::{Class, Measures, Name, Statement, StatementRow};

/// What a user states about a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileTerms {
    pub account: Option<String>,
    /// The period that the file covers, if its rows do not show it.
    pub period: Option<(Timestamp, Timestamp)>,
}

/// The SHA-256 of a file in hex.
pub(crate) fn hash(bytes: &[u8]) -> String {
    crate::merkle::Hash::from_bytes(Sha256::digest(bytes).into()).to_string()
}

/// The events of a statement: one for each provider in it.
///
/// # Errors
/// [`Error::Invalid`] for a row without a provider, or outside the period; [`Error::Overflow`] for a sum beyond its
/// range.
pub(crate) fn events(
    name: &str,
    statement: &Statement,
    file: &str,
    terms: &FileTerms,
) -> Result<Vec<StatementReceived>> {
    let (since, until) = terms.period.map_or_else(|| super::period(name, statement), Ok)?;
    if let Some(row) = statement.rows.iter().find(|row| row.start < since || row.start >= until) {
        return Err(Error::invalid(format!(
            "{name}:{}: the row at {} is outside the period from {since} until {until}: give the period of the file",
            row.line, row.start
        )));
    }
    let mut by_provider: BTreeMap<String, BTreeMap<BucketKey, StatementBucket>> = BTreeMap::new();
    if let Some(provider) = &statement.provider {
        by_provider.entry(super::canonical(provider)).or_default();
    }
    for row in &statement.rows {
        let buckets = by_provider.entry(provider_of(name, statement, row)?).or_default();
        let mut names: BTreeMap<String, String> =
            row.names.iter().map(|(kind, name)| (kind.word().to_owned(), name.clone())).collect();
        names.remove(Name::Provider.word());
        let key = (row.start, row.end, names.clone());
        let bucket = buckets.entry(key).or_insert_with(|| {
            let mut bucket = StatementBucket::new((row.start, row.end));
            bucket.names = names;
            bucket
        });
        add(bucket, row)?;
    }
    // The first event states what concerns the whole file.
    let mut repeated = Some((statement.duplicates.clone(), statement.other_rows));
    let events = by_provider.into_iter().map(|(provider, buckets)| {
        let mut event = StatementReceived::new(&provider, file, statement.source.clone(), (since, until));
        event.account.clone_from(&terms.account);
        event.rounded_to = Some(statement.step).filter(|step| *step != Usd::default());
        (event.repeated_lines, event.other_rows) = repeated.take().unwrap_or_default();
        event.buckets = buckets.into_values().collect();
        event
    });
    Ok(events.collect())
}

type BucketKey = (Timestamp, Timestamp, BTreeMap<String, String>);

fn add(bucket: &mut StatementBucket, row: &StatementRow) -> Result<()> {
    let over = || Error::Overflow { what: "counts of a statement" };
    for (class, count) in &row.counts {
        let sum = bucket.tokens.entry(class.name().to_owned()).or_default();
        *sum = sum.checked_add(*count).ok_or_else(over)?;
    }
    if let Some(requests) = row.requests {
        bucket.requests = Some(bucket.requests.unwrap_or_default().checked_add(requests).ok_or_else(over)?);
    }
    for (sum, amount) in [(&mut bucket.usd, row.cost), (&mut bucket.list_usd, row.list_cost)] {
        if let Some(amount) = amount {
            *sum = Some(sum.unwrap_or_default().checked_add(amount)?);
        }
    }
    bucket.amounts += row.amounts;
    Ok(())
}

/// The statement of an event, without the rows that a later statement replaces.
///
/// # Errors
/// [`Error::Damaged`] for a class or a kind of name that this build does not know.
pub(super) fn statement(received: &ReceivedStatement) -> Result<Statement> {
    let content = &received.content;
    let place = received.position()?;
    let unknown =
        |what: &str| Error::damaged(Some(place), format!("the statement has an unknown {what}: update usage-ledger"));
    let mut rows = Vec::new();
    for bucket in &content.buckets {
        let mut row = StatementRow {
            start: bucket.start,
            end: bucket.end,
            requests: bucket.requests,
            cost: bucket.usd,
            list_cost: bucket.list_usd,
            amounts: bucket.amounts,
            ..StatementRow::default()
        };
        for (word, name) in &bucket.names {
            row.names.insert(Name::of_word(word).ok_or_else(|| unknown(word))?, name.clone());
        }
        for (class, count) in &bucket.tokens {
            row.counts.insert(Class::of_name(class).ok_or_else(|| unknown(class))?, *count);
        }
        rows.push(row);
    }
    let measures = Measures::of(&rows);
    rows.retain(|row| !is_within(&received.superseded, row.start));
    Ok(Statement {
        source: content.export.clone(),
        provider: Some(content.provider.clone()),
        period: Some((content.since, content.until)),
        superseded: received.superseded.clone(),
        rows,
        duplicates: content.repeated_lines.clone(),
        other_rows: content.other_rows,
        step: content.rounded_to.unwrap_or_default(),
        measures,
        more_pages: None,
    })
}
