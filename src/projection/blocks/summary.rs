//! The summary of one block, which shows whether the block may contain what a query asks for.

use std::collections::BTreeSet;

use super::super::varint;
use super::BLOCK;
use crate::model::event::{EventKind, NameKind};
use crate::model::time::{QUARTER, Timestamp};

/// The maximal number of listed names. A block with more may contain any name.
const MOST_NAMES: usize = 1_024;

/// The quarter of an hour of an instant, counted from the epoch.
pub(crate) const fn quarter_of(at: Timestamp) -> i64 {
    at.millis().div_euclid(QUARTER)
}

/// Builds a summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    kinds: u64,
    quarters: BTreeSet<i64>,
    names: BTreeSet<u32>,
    corrected: BTreeSet<u16>,
}

impl Summary {
    pub fn add_kind(&mut self, kind: EventKind) {
        self.kinds |= 1 << kind.code();
    }

    pub fn add_time(&mut self, at: Timestamp) {
        self.quarters.insert(quarter_of(at));
    }

    pub fn add_name(&mut self, kind: NameKind, name: &str) {
        self.names.insert(kind.hash(name));
    }

    /// Marks the record at an offset as corrected, and adds the times that corrections give it.
    pub fn correct(&mut self, offset: u16, times: &[Timestamp]) {
        self.corrected.insert(offset);
        self.quarters.extend(times.iter().copied().map(quarter_of));
    }

    /// The quarters of an hour of its events, at all times that corrections give them.
    pub fn quarters(&self) -> impl Iterator<Item = i64> {
        self.quarters.iter().copied()
    }

    /// Layout: the mask of kinds, then three lists, each with its length: quarters (the first, then steps), hashes of
    /// names (4 bytes each, sorted), offsets of corrected records (steps).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        varint::put(&mut out, self.kinds);
        let mut part = Vec::new();
        let mut last = None;
        for quarter in &self.quarters {
            match last {
                None => varint::put_wide(&mut part, i128::from(*quarter)),
                Some(last) => varint::put(&mut part, (quarter - last) as u64),
            }
            last = Some(*quarter);
        }
        put_list(&mut out, &mut part);
        if self.names.len() <= MOST_NAMES {
            out.push(1);
            self.names.iter().for_each(|name| part.extend_from_slice(&name.to_be_bytes()));
            put_list(&mut out, &mut part);
        } else {
            out.push(0);
        }
        let mut last = 0;
        for offset in &self.corrected {
            varint::put(&mut part, u64::from(offset - last));
            last = *offset;
        }
        put_list(&mut out, &mut part);
        out
    }
}

fn put_list(out: &mut Vec<u8>, part: &mut Vec<u8>) {
    varint::put(out, part.len() as u64);
    out.append(part);
}

fn take_list<'v>(bytes: &mut &'v [u8]) -> Option<&'v [u8]> {
    let length = usize::try_from(varint::take(bytes)?).ok()?;
    let (list, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(list)
}

/// A stored summary, read without a copy, because a query reads all of them.
pub(crate) struct StoredSummary<'v> {
    kinds: u64,
    quarters: &'v [u8],
    names: Option<&'v [[u8; 4]]>,
    corrected: &'v [u8],
}

impl<'v> StoredSummary<'v> {
    /// `None` if the bytes are damaged.
    pub fn read(mut bytes: &'v [u8]) -> Option<Self> {
        let kinds = varint::take(&mut bytes)?;
        let quarters = take_list(&mut bytes)?;
        let (known, rest) = bytes.split_first()?;
        bytes = rest;
        let names = if *known == 0 {
            None
        } else {
            let (names, rest) = take_list(&mut bytes)?.as_chunks::<4>();
            Some(rest.is_empty().then_some(names)?)
        };
        let corrected = take_list(&mut bytes)?;
        bytes.is_empty().then_some(Self { kinds, quarters, names, corrected })
    }

    pub const fn has_kind(&self, kind: EventKind) -> bool {
        self.kinds & (1 << kind.code()) != 0
    }

    #[cfg_attr(not(feature = "cli"), allow(dead_code))] // used by the command `log`
    /// Whether the block may contain an event with a name of this hash.
    pub fn may_name(&self, hash: u32) -> bool {
        self.names.is_none_or(|names| names.binary_search(&hash.to_be_bytes()).is_ok())
    }

    /// Whether it contains an event in a quarter of an hour that `wanted` accepts, at any time that a correction gives
    /// it.
    pub fn has_quarter(&self, wanted: &mut dyn FnMut(i64) -> bool) -> Option<bool> {
        let mut bytes = self.quarters;
        if bytes.is_empty() {
            return Some(false);
        }
        let mut quarter = i64::try_from(varint::take_wide(&mut bytes)?).ok()?;
        loop {
            if wanted(quarter) {
                return Some(true);
            }
            if bytes.is_empty() {
                return Some(false);
            }
            quarter = quarter.checked_add_unsigned(varint::take(&mut bytes)?)?;
        }
    }

    /// The offsets of corrected records.
    pub fn corrected(&self) -> Option<BTreeSet<u16>> {
        let mut bytes = self.corrected;
        let (mut offsets, mut last) = (BTreeSet::new(), 0_u64);
        while !bytes.is_empty() {
            last = last.checked_add(varint::take(&mut bytes)?)?;
            offsets.insert(u16::try_from(last).ok().filter(|offset| u64::from(*offset) < BLOCK)?);
        }
        Some(offsets)
    }

    /// The summary in its mutable form; `None` if the bytes are damaged or have no list of names.
    pub fn to_summary(&self) -> Option<Summary> {
        let mut quarters = BTreeSet::new();
        self.has_quarter(&mut |quarter| {
            quarters.insert(quarter);
            false
        })?;
        let names = self.names?.iter().map(|name| u32::from_be_bytes(*name)).collect();
        Some(Summary { kinds: self.kinds, quarters, names, corrected: self.corrected()? })
    }
}
