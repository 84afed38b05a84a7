-- A report by label or of a label reads the sums of labels, not those of every conversation; and a report of sessions reads
-- when the counts of a call appeared from the blocks, not from its line. A ledger of an earlier schema gets these rows when it
-- is opened.

-- (UTC day, provider, account, model, agent, tariff, labels) -> sums of the day and of its quarter hours.
CREATE TABLE usage_by_label (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
-- number -> times, times of counts, names and counts of the records of a block.
CREATE TABLE block_calls    (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

-- The same without the times of counts.
DROP TABLE block_records;
DELETE FROM blocks;
