-- One log and one set of projections per ledger. The id of the ledger leads every key, so the same tables can be
-- partitioned or distributed by it. No sequence numbers events: a row of `heads`, locked by the writer, does, so that a
-- position becomes visible only after all earlier ones. There are no triggers: roles keep the log append-only (roles.sql).

CREATE TABLE usage_ledger.heads (
    ledger_id text COLLATE "C" PRIMARY KEY CHECK (ledger_id ~ '^[a-z0-9][a-z0-9._-]{0,39}$'),
    -- The last position of the log. A difference from the log is damage.
    position bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    -- Counts commits. A writer that lost its connection compares it before it repeats a commit.
    version bigint NOT NULL DEFAULT 0,
    -- Identifies the last commit, so that its writer can ask whether it happened.
    last_commit uuid
);

CREATE TABLE usage_ledger.events (
    ledger_id text COLLATE "C" NOT NULL,
    position bigint NOT NULL CHECK (position > 0),
    id uuid NOT NULL,
    kind smallint NOT NULL,
    -- Times are milliseconds since 1970.
    occurred_at bigint NOT NULL,
    recorded_at bigint NOT NULL,
    -- The bytes that are hashed. As bytea they do not depend on the encoding of the database.
    body bytea NOT NULL,
    PRIMARY KEY (ledger_id, position),
    -- An id is unique for all time. The id of the ledger leads, because a distributed table can only check keys of a shard.
    UNIQUE (ledger_id, id)
);

-- All projections are in one table, so a new projection needs no migration.
CREATE TABLE usage_ledger.projections (
    ledger_id text COLLATE "C" NOT NULL,
    projection text COLLATE "C" NOT NULL,
    key bytea NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (ledger_id, projection, key)
);
