//! Reads ranges of keys of one table without a visitor: the first value of a range, or all of them.

use std::borrow::Cow;

use super::{GO_ON, Order, ReadView, STOP, Table};
use crate::model::error::Result;

/// A range of keys of one table, and the direction in which it is read.
#[derive(Clone, Debug)]
pub(crate) struct KeyRange<'k> {
    table: Table,
    from: Cow<'k, [u8]>,
    to: Cow<'k, [u8]>,
    order: Order,
}

impl<'k> KeyRange<'k> {
    /// All keys of a table.
    pub const fn whole(table: Table) -> Self {
        Self { table, from: Cow::Borrowed(&[]), to: Cow::Borrowed(&[]), order: Order::Ascending }
    }

    /// The keys that begin with a prefix.
    pub fn prefix(table: Table, prefix: &'k [u8]) -> Self {
        Self { from: Cow::Borrowed(prefix), to: Cow::Owned(after_prefix(prefix)), ..Self::whole(table) }
    }

    /// The keys from one (inclusive) up to another (exclusive; empty means to the end).
    pub const fn between(table: Table, from: &'k [u8], to: &'k [u8]) -> Self {
        Self { table, from: Cow::Borrowed(from), to: Cow::Borrowed(to), order: Order::Ascending }
    }

    /// The same keys that are at or after another one.
    pub fn starting_at(self, from: &'k [u8]) -> Self {
        Self { from: Cow::Borrowed(from), ..self }
    }

    /// The same keys, from the largest down.
    pub fn descending(self) -> Self {
        Self { order: Order::Descending, ..self }
    }
}

impl dyn ReadView + '_ {
    /// The first value that `decode` returns for a row of a range. Rows for which it returns `None` are skipped.
    pub(crate) fn first<T>(
        &self,
        range: &KeyRange<'_>,
        mut decode: impl FnMut(&[u8], &[u8]) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut first = None;
        self.scan(range.table, &range.from, &range.to, range.order, &mut |key, value| {
            first = decode(key, value)?;
            if first.is_some() { STOP } else { GO_ON }
        })?;
        Ok(first)
    }

    /// Whether a range has a row.
    pub(crate) fn has_any(&self, range: &KeyRange<'_>) -> Result<bool> {
        Ok(self.first(range, |_, _| Ok(Some(())))?.is_some())
    }

    /// The values that `decode` returns for the rows of a range, in order. Rows for which it returns `None` are
    /// skipped.
    pub(crate) fn collect<T, C: Default + Extend<T>>(
        &self,
        range: &KeyRange<'_>,
        mut decode: impl FnMut(&[u8], &[u8]) -> Result<Option<T>>,
    ) -> Result<C> {
        let mut values = C::default();
        self.scan(range.table, &range.from, &range.to, range.order, &mut |key, value| {
            values.extend(decode(key, value)?);
            GO_ON
        })?;
        Ok(values)
    }
}

/// The smallest key that is greater than every key with this prefix; empty if there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EventStore, MemoryStore};

    #[test]
    fn ranges_select_their_keys_in_order() {
        let store = MemoryStore::new();
        let mut tx = store.write().unwrap();
        for key in [&b"a"[..], b"ab", b"ac", b"b", b"\xff"] {
            tx.put(Table::Files, key, Some(&[])).unwrap();
        }
        let keys = |range: KeyRange<'_>| -> Vec<Vec<u8>> {
            let view: &dyn ReadView = &*tx;
            view.collect(&range, |key, _| Ok(Some(key.to_vec()))).unwrap()
        };
        assert_eq!(keys(KeyRange::whole(Table::Files)).len(), 5);
        assert_eq!(keys(KeyRange::prefix(Table::Files, b"a")), [&b"a"[..], b"ab", b"ac"]);
        assert_eq!(keys(KeyRange::prefix(Table::Files, b"a").starting_at(b"ab").descending()), [&b"ac"[..], b"ab"]);
        assert_eq!(keys(KeyRange::between(Table::Files, b"ac", b"\xff")), [&b"ac"[..], b"b"]);
        let view: &dyn ReadView = &*tx;
        let long = view.first(&KeyRange::whole(Table::Files), |key, _| Ok((key.len() > 1).then(|| key.to_vec())));
        assert_eq!(long.unwrap(), Some(b"ab".to_vec()));
        assert!(!view.has_any(&KeyRange::prefix(Table::Files, b"c")).unwrap());
        assert!(!view.has_any(&KeyRange::whole(Table::Keys)).unwrap());
    }

    #[test]
    fn the_key_after_a_prefix_is_its_least_upper_bound() {
        assert_eq!(after_prefix(&[1, 2]), vec![1, 3]);
        assert_eq!(after_prefix(&[1, 255]), vec![2]);
        assert_eq!(after_prefix(&[255]), Vec::<u8>::new());
    }
}
