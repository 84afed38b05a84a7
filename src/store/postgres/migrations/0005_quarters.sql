-- The blocks of each quarter of an hour have rows of their own (block_quarters). A program that could not upgrade these tables may
-- have written some. The next program that opens a ledger for writing makes these rows from the blocks.
DELETE FROM usage_ledger.projections WHERE projection = 'block_quarters';
