//! Values of columns in a database that other programs may have written to.

use rusqlite::Row;

/// The number in a column, if it holds one.
pub(super) fn whole(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<i64>> {
    Ok(row.get_ref(column)?.as_i64_or_null().ok().flatten())
}

/// The text in a column, if it holds one.
pub(super) fn name(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(row.get_ref(column)?.as_str_or_null().ok().flatten().map(str::to_owned))
}
