-- Distributes the tables over the nodes of Citus (12 or later) by ledger, all rows of a ledger on one shard. The owner of the tables runs
-- it after the first command that created or upgraded them; it may be repeated:
--     usage-ledger shards citus | psql -v ON_ERROR_STOP=1 usage
-- Every statement of a ledger names its id for each table, so it goes to one node. The exceptions read the heads of all ledgers, for
-- `shards list`, or are maintenance: migrations, and VACUUM after a shredding.
-- The table `migrations` belongs to no ledger and stays on the coordinator.
SELECT create_distributed_table('usage_ledger.heads', 'ledger_id')
    WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'usage_ledger.heads'::regclass);
SELECT create_distributed_table('usage_ledger.events', 'ledger_id', colocate_with := 'usage_ledger.heads')
    WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'usage_ledger.events'::regclass);
SELECT create_distributed_table('usage_ledger.projections', 'ledger_id', colocate_with := 'usage_ledger.heads')
    WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'usage_ledger.projections'::regclass);
SELECT create_distributed_table('usage_ledger.settings', 'ledger_id', colocate_with := 'usage_ledger.heads')
    WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'usage_ledger.settings'::regclass);
-- The function writes rows of the ledger that its first argument names, so it runs where that ledger is.
SELECT create_distributed_function('usage_ledger.erase(text, bigint[], bytea[])', 'ledger', colocate_with := 'usage_ledger.heads');
