-- A question about a few hours reads only the summaries of the blocks that contain them, not those of all blocks. A ledger of an
-- earlier schema gets these rows when it is opened.

-- (quarter of an hour, group of 64 blocks) -> one bit for each block that contains an event of the quarter.
CREATE TABLE block_quarters (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
