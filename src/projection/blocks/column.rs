//! The records of one block without their lines: times, names and counts, in the order of positions.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use xxhash_rust::xxh3::Xxh3;

use super::super::series::{DAY_BYTES, KeyEnds, Level, Series};
use super::super::totals::Totals;
use super::super::varint;
use crate::model::error::Result;
use crate::model::event::TokenView;
use crate::model::invariant::bug;
use crate::model::time::Timestamp;

/// Byte strings, numbered in the order of their first occurrence.
#[derive(Clone, Debug, Default)]
struct Dictionary {
    numbers: HashMap<Box<[u8]>, u64, BuildHasherDefault<Xxh3>>,
    bytes: Vec<u8>,
}

impl Dictionary {
    /// The number of a byte string, and whether it is new.
    fn number(&mut self, text: &[u8]) -> (u64, bool) {
        if let Some(number) = self.numbers.get(text) {
            return (*number, false);
        }
        let number = self.numbers.len() as u64;
        self.numbers.insert(text.into(), number);
        varint::put(&mut self.bytes, text.len() as u64);
        self.bytes.extend_from_slice(text);
        (number, true)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        varint::put(out, self.numbers.len() as u64);
        out.extend_from_slice(&self.bytes);
    }
}

/// Builds a column.
#[derive(Clone, Debug, Default)]
pub(super) struct ColumnWriter {
    /// The part of keys that the coarsest rollup separates, and the rest.
    models: Dictionary,
    rests: Dictionary,
    entries: Vec<u8>,
    last: (u64, i64),
    key: Vec<u8>,
}

impl ColumnWriter {
    /// Adds the record at an offset. Returns true if its combination of names is new.
    pub fn add(&mut self, offset: u16, at: Timestamp, record: &TokenView<'_>) -> Result<bool> {
        let mut key = std::mem::take(&mut self.key);
        let KeyEnds { model, .. } = Level::write_key(&mut key, at, record);
        let parts = key.split_at_checked(model).and_then(|(front, rest)| Some((front.get(DAY_BYTES..)?, rest)));
        let (front, rest) =
            parts.ok_or_else(|| bug!("a level's key of {model} bytes in a key of {} bytes", key.len()))?;
        let (model, new_model) = self.models.number(front);
        let (rest, new_rest) = self.rests.number(rest);
        let (last_offset, last_at) = self.last;
        self.last = (u64::from(offset), at.millis());
        let counted_later = record.counted_at.filter(|counted| *counted > at);
        let later = counted_later.map_or(0, |counted| counted.millis().abs_diff(at.millis()));
        varint::put(&mut self.entries, ((u64::from(offset) - last_offset) << 1) | u64::from(later > 0));
        if later > 0 {
            varint::put(&mut self.entries, later);
        }
        varint::put_wide(&mut self.entries, i128::from(at.millis()) - i128::from(last_at));
        varint::put(&mut self.entries, model);
        varint::put(&mut self.entries, rest);
        self.key = key;
        Totals::one(&record.tokens, record.cost).encode(&mut self.entries)?;
        Ok(new_model || new_rest)
    }

    /// Layout: two dictionaries (the number of strings, then each with its length), then the entries: step of the
    /// offset, doubled, plus 1 if the counts appeared after the call; then by how many milliseconds; step of the time,
    /// numbers of both strings, counts.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() + self.models.bytes.len() + self.rests.bytes.len() + 8);
        self.models.encode(&mut out);
        self.rests.encode(&mut out);
        out.extend_from_slice(&self.entries);
        out
    }
}

/// One record of a stored column.
pub(crate) struct ColumnEntry {
    pub offset: u16,
    pub at: Timestamp,
    /// When its counts appeared; `at` if the record does not state a later time.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))] // only sums of calls read it
    pub counted_at: Timestamp,
    /// Its names, as a number for [`StoredColumn::key`].
    pub names: (u32, u32),
    pub totals: Totals,
}

/// A stored column.
pub(crate) struct StoredColumn<'v> {
    models: Vec<&'v [u8]>,
    rests: Vec<&'v [u8]>,
    entries: &'v [u8],
}

impl<'v> StoredColumn<'v> {
    /// `None` if the bytes are damaged.
    pub fn read(mut bytes: &'v [u8]) -> Option<Self> {
        let models = take_dictionary(&mut bytes)?;
        let rests = take_dictionary(&mut bytes)?;
        Some(Self { models, rests, entries: bytes })
    }

    /// The key of a row of the finest rollup with these names and an arbitrary day.
    pub fn key(&self, (model, rest): (u32, u32)) -> Option<Vec<u8>> {
        let mut key = vec![0; DAY_BYTES];
        key.extend_from_slice(self.models.get(model as usize)?);
        key.extend_from_slice(self.rests.get(rest as usize)?);
        Some(key)
    }

    /// The same key, and the ends of its parts.
    pub fn key_and_ends(&self, names: (u32, u32)) -> Option<(Vec<u8>, KeyEnds)> {
        let key = self.key(names)?;
        let ends = KeyEnds::of(&key)?;
        Some((key, ends))
    }

    /// The key of the provider account of these names.
    pub fn account(&self, (model, _): (u32, u32)) -> Option<&'v [u8]> {
        let names = self.models.get(model as usize)?;
        let provider = names.iter().position(|byte| *byte == 0)? + 1;
        let account = names.get(provider..)?.iter().position(|byte| *byte == 0)? + 1;
        names.get(..provider + account)
    }

    /// Visits the records in order; `None` if the bytes are damaged.
    pub fn each(&self, visit: &mut dyn FnMut(&ColumnEntry) -> Result<()>) -> Option<Result<()>> {
        self.each_at(&mut |_| true, visit)
    }

    /// Visits the records with a wanted time in order. Counts of others are not read.
    pub fn each_at(
        &self,
        is_wanted: &mut dyn FnMut(Timestamp) -> bool,
        visit: &mut dyn FnMut(&ColumnEntry) -> Result<()>,
    ) -> Option<Result<()>> {
        let mut bytes = self.entries;
        let (mut offset, mut at) = (0_u64, 0_i64);
        while !bytes.is_empty() {
            let step = varint::take(&mut bytes)?;
            offset = offset.checked_add(step >> 1)?;
            let later = if step & 1 == 0 { 0 } else { varint::take(&mut bytes)? };
            at = at.checked_add(i64::try_from(varint::take_wide(&mut bytes)?).ok()?)?;
            let mut number = || u32::try_from(varint::take(&mut bytes)?).ok();
            let names = (number()?, number()?);
            if !is_wanted(Timestamp::from_millis(at)) {
                Totals::skip(&mut bytes)?;
                continue;
            }
            let totals = Totals::decode(&mut bytes)?;
            let entry = ColumnEntry {
                offset: u16::try_from(offset).ok()?,
                at: Timestamp::from_millis(at),
                counted_at: Timestamp::from_millis(at.checked_add_unsigned(later)?),
                names,
                totals,
            };
            if let Err(error) = visit(&entry) {
                return Some(Err(error));
            }
        }
        Some(Ok(()))
    }
}

/// Indices of the names of a column's records.
#[derive(Debug, Default)]
pub(crate) struct NumberedNames {
    /// By the number of the second string: numbers of first strings, of which a block has few, and indices.
    indices: Vec<Vec<(u32, usize)>>,
}

impl NumberedNames {
    /// The index of names, if they have one.
    pub fn index(&self, (model, rest): (u32, u32)) -> Option<usize> {
        self.indices.get(rest as usize)?.iter().find(|(other, _)| *other == model).map(|(_, index)| *index)
    }

    /// Gives names an index. They are names of the column, so their numbers are small.
    pub fn insert(&mut self, (model, rest): (u32, u32), index: usize) {
        let rest = rest as usize;
        if self.indices.len() <= rest {
            self.indices.resize_with(rest + 1, Vec::new);
        }
        if let Some(indices) = self.indices.get_mut(rest) {
            indices.push((model, index));
        }
    }
}

fn take_dictionary<'v>(bytes: &mut &'v [u8]) -> Option<Vec<&'v [u8]>> {
    let count = varint::take(bytes)?;
    let mut texts = Vec::new();
    for _ in 0..count {
        let length = usize::try_from(varint::take(bytes)?).ok()?;
        let (text, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        texts.push(text);
    }
    Some(texts)
}

/// The names in a key of [`StoredColumn::key`].
pub(crate) fn series_of(key: &[u8]) -> Option<Series<'_>> {
    Series::from_key(key).map(|(_, series)| series)
}
