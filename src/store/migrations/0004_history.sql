-- What every earlier position counted, so that a question about the past neither folds the log again nor writes anything.
-- A ledger of an earlier schema gets its rows from the log when it is opened.

-- number of a chapter of 16 blocks -> the UTC days that its events change.
CREATE TABLE chapters (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
-- (level, row of one of the two coarser rollups, chapter) -> how the events of the chapter change the row; and
-- account -> the first chapter that names it.
CREATE TABLE history  (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

-- The cache that queries about the past wrote before.
DROP TABLE snapshots;
