-- Blocks of 1,024 positions, so that a query which needs a few records does not read the whole log. A ledger of an earlier
-- schema gets its rows from the log when it is opened.

-- number -> kinds, quarters of an hour, hashes of names, corrected records.
CREATE TABLE blocks        (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
-- number -> times, names and counts of the records.
CREATE TABLE block_records (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
