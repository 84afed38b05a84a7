//! The blinded totals of a seal, and the rows of each.

use super::{Report, ReportKey};
use crate::ledger::Snapshot;
use crate::merkle::{BlindedLeaves, Checkpoint, Hash, SealedRow, SealedSums, SealedTotal, Signer};
use crate::model::error::{Error, Result};
use crate::model::event::{PeriodSealed, SealedRows};
use crate::model::invariant::bug;
use crate::model::tokens::TokenClass;
use crate::readers::price::Prices;
use crate::usage::Usage;

/// The keys that separate the rows of a total.
const ROW_KEYS: [ReportKey; 5] =
    [ReportKey::Day, ReportKey::Provider, ReportKey::Account, ReportKey::Model, ReportKey::Project];

/// A total and its blinded rows.
pub(super) struct SealedGroup {
    pub total: SealedTotal,
    pub rows: BlindedLeaves,
}

/// The totals of a seal.
pub(super) struct SealedGroups {
    by: String,
    pub groups: Vec<SealedGroup>,
    pub leaves: BlindedLeaves,
}

impl SealedGroups {
    /// What the seal keeps of them.
    pub fn sealed(&self) -> SealedRows {
        let leaves = self.leaves.hashes().iter().map(ToString::to_string).collect();
        SealedRows::new(self.by.clone(), self.leaves.root().to_string(), leaves)
    }
}

/// Checks that totals can be separated by a key.
pub(super) fn check_key(by: &ReportKey) -> Result<()> {
    if by.is_time() || *by == ReportKey::Window {
        return Err(Error::invalid(format!(
            "a seal cannot have totals by {}: use project, account, provider, model, agent, conversation, machine, person, \
             team or label:NAME",
            by.name()
        )));
    }
    Ok(())
}

/// The signed text of a seal.
pub(super) fn statement(sealed: &PeriodSealed, origin: &str) -> Result<String> {
    let root: Hash = sealed.root.parse()?;
    let checkpoint = Checkpoint::new(origin, sealed.size.get(), root)?;
    Ok(format!("{checkpoint}{}", sealed.lines()))
}

/// Computes the totals of a seal from the ledger as of the seal.
pub(super) fn of_seal(
    snapshot: &Snapshot<'_>,
    sealed: &PeriodSealed,
    by: &ReportKey,
    signer: &Signer,
) -> Result<SealedGroups> {
    // The salts depend on everything that the seal states besides the rows.
    let bare = PeriodSealed { rows: None, ..sealed.clone() };
    let blinding = signer.blinding(&statement(&bare, signer.verifier().name())?)?;
    let mut groups = Vec::new();
    for (name, rows) in group(snapshot, sealed, by)? {
        let mut sums = SealedSums::default();
        for row in &rows {
            sums.add(&row.sums)?;
        }
        let count = rows.len() as u64;
        let contents = rows.iter().map(SealedRow::content).collect::<Result<_>>()?;
        let rows = BlindedLeaves::new(&blinding.of_rows(name.as_deref())?, contents, false)?;
        groups.push(SealedGroup { total: SealedTotal::new(name, sums, count, rows.root().to_string()), rows });
    }
    let contents = groups.iter().map(|group| group.total.content()).collect::<Result<_>>()?;
    let leaves = BlindedLeaves::new(&blinding, contents, true)?;
    Ok(SealedGroups { by: by.name(), groups, leaves })
}

/// The rows of the period, by the value of the key.
fn group(
    snapshot: &Snapshot<'_>,
    sealed: &PeriodSealed,
    by: &ReportKey,
) -> Result<Vec<(Option<String>, Vec<SealedRow>)>> {
    let keys = std::iter::once(by.clone()).chain(ROW_KEYS);
    let mut report = Report::by_all(keys).prices(Prices::none()).until(sealed.until);
    if let Some(since) = sealed.since {
        report = report.since(since);
    }
    let mut groups: Vec<(Option<String>, Vec<SealedRow>)> = Vec::new();
    // The rows of a table are sorted by their keys, so those of one total stand together.
    for row in snapshot.report(&report)?.rows {
        let keys: [Option<String>; 6] =
            row.keys.try_into().map_err(|keys: Vec<_>| bug!("a row of {} keys instead of 6", keys.len()))?;
        let [name, day, provider, account, model, project] = keys;
        let (Some(day), Some(provider)) = (day, provider) else {
            return Err(bug!("a row of a report without a day or a provider"));
        };
        let row = SealedRow::new(day, provider, [account, model, project], sums(&row.usage));
        match groups.last_mut() {
            Some((last, rows)) if *last == name => rows.push(row),
            _ => groups.push((name, vec![row])),
        }
    }
    Ok(groups)
}

/// The sums of a usage.
fn sums(usage: &Usage) -> SealedSums {
    SealedSums::new(usage.requests, TokenClass::ALL.map(|class| usage.tokens.get(class)), usage.cost.reported_usd)
}

/// The leaves that a seal keeps, with the contents of those that can still be computed. After a shredding the others
/// are hashes alone, and proofs of the computed ones stay valid.
pub(super) fn stored(computed: &BlindedLeaves, kept: &SealedRows) -> Result<BlindedLeaves> {
    let hashes = kept.leaves.iter().map(|leaf| leaf.parse()).collect::<Result<Vec<Hash>>>()?;
    Ok(computed.among(&hashes))
}
