//! Compares checkpoints from elsewhere with the ledger.

use super::{Finding, Verification};
use crate::merkle::Checkpoint;
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::projection::root_at;
use crate::store::ReadView;

impl Verification {
    /// The first finding as a text; `None` without findings.
    #[cfg(feature = "cli")]
    pub(crate) fn first(&self) -> Option<String> {
        self.findings.first().map(|finding| match finding.position {
            Some(position) => format!("position {position}: {}", finding.what),
            None => finding.what.clone(),
        })
    }

    /// Adds further findings.
    pub(crate) fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.findings.extend(findings);
        self.findings.sort_by_key(|finding| finding.position);
        self.ok = self.findings.is_empty();
    }
}

/// Compares one checkpoint with a view.
pub(crate) fn hold(view: &dyn ReadView, checkpoint: &Checkpoint) -> Result<Option<Finding>> {
    hold_behind(view, checkpoint, 0)
}

/// The same, if the first `sound` events are known to be unchanged.
fn hold_behind(view: &dyn ReadView, checkpoint: &Checkpoint, sound: u64) -> Result<Option<Finding>> {
    let head = view.head()?.position;
    let size = checkpoint.size();
    if size > head.get() {
        let what = format!(
            "{} signed a checkpoint of {size} events, the ledger ends at position {head}: its tail was cut off, or \
             this is an older copy",
            checkpoint.origin()
        );
        return Ok(Some(Finding::new(head.next(), what)));
    }
    if root_at(view, size)? == checkpoint.root() {
        return Ok(None);
    }
    // A root shows that something differs, but not where: other checkpoints limit the range.
    let place = if sound < size {
        format!("one at {} to {size} was changed, moved, added or left out", Position::new(sound).next())
    } else {
        // Another checkpoint of the same size is valid, so this one belongs to another history.
        "another checkpoint of as many events fits, so two histories were signed".to_owned()
    };
    let what =
        format!("the first {size} events are not those that {} signed a checkpoint of: {place}", checkpoint.origin());
    Ok(Some(Finding::new(Position::new(size), what)))
}

/// Compares all checkpoints with a view, and with each other.
pub(crate) fn hold_all(view: &dyn ReadView, checkpoints: &[Checkpoint]) -> Result<Vec<Finding>> {
    let mut sorted: Vec<&Checkpoint> = checkpoints.iter().collect();
    sorted.sort_by_key(|checkpoint| checkpoint.size());
    let mut findings = Vec::new();
    let mut sound = 0;
    for checkpoint in &sorted {
        match hold_behind(view, checkpoint, sound) {
            Ok(None) => sound = checkpoint.size(),
            Ok(Some(finding)) if !findings.contains(&finding) => findings.push(finding),
            Ok(Some(_)) => {}
            // Missing nodes were reported already, but not that this checkpoint could not be checked.
            Err(Error::Damaged { position, what }) => findings.push(Finding::new(
                position,
                format!("the checkpoint of {} events cannot be checked: {what}", checkpoint.size()),
            )),
            Err(other) => return Err(other),
        }
    }
    for (one, other) in sorted.iter().zip(sorted.iter().skip(1)) {
        if one.size() == other.size() && one.root() != other.root() && one.origin() == other.origin() {
            let what = format!(
                "{} signed two checkpoints of {} events with different roots: there are two histories",
                one.origin(),
                one.size()
            );
            findings.push(Finding::new(Position::new(one.size()), what));
        }
    }
    Ok(findings)
}
