-- The records of a block have the time at which their counts appeared, in rows of another name (block_calls). Sums by label are new;
-- a program that could not upgrade these tables may have written some. The next program that opens a ledger for writing makes these
-- rows from the log.
DELETE FROM usage_ledger.projections WHERE projection IN ('blocks', 'block_records', 'block_calls', 'usage_by_label');
