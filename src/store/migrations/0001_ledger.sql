-- The first schema: the log, its guards, the Merkle tree and the projections.

-- What the small numbers in events.kind mean, so that the file explains itself.
CREATE TABLE kinds (
    code INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO kinds (code, name) VALUES
    (0, 'tokens_recorded'), (1, 'provider_switched'), (2, 'tokens_amended'), (3, 'event_voided'),
    (4, 'quota_observed'), (5, 'quota_exhausted'), (6, 'paused'), (7, 'resumed'), (8, 'limit_set'),
    (9, 'provider_declared'), (10, 'usage_overridden'), (11, 'budget_reserved'), (12, 'budget_settled'),
    (13, 'budget_released'), (14, 'imported'), (15, 'event_shredded'), (16, 'period_sealed'),
    (17, 'price_set');

-- The log. `body` is the line that is hashed, or the stub of a shredded event; the other columns repeat what is in it, to be found by.
-- Times are milliseconds since 1970-01-01T00:00:00Z.
CREATE TABLE events (
    position    INTEGER PRIMARY KEY,
    id          BLOB    NOT NULL UNIQUE,
    kind        INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;

-- Guards against a slip of the hand, not against an attacker: the tree finds those.
-- One change is let through: the body of an event that an event_shredded (kind 15) names gives way to a stub, which holds
-- the leaf hash that the tree keeps of the line, and what that event says stays.
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
WHEN NOT coalesce(
    NEW.position = OLD.position AND NEW.id = OLD.id AND NEW.kind = OLD.kind
    AND NEW.occurred_at = OLD.occurred_at AND NEW.recorded_at = OLD.recorded_at
    AND EXISTS (
        SELECT 1 FROM events AS word, tree AS hashes
        WHERE json_valid(NEW.body)
        AND word.position = NEW.body ->> '$.by' AND word.kind = 15
        AND word.body ->> '$.data.position' = OLD.position
        AND hashes.key = unhex(printf('00%016x', (OLD.position - 1) / 16))
        AND NEW.body = printf('{"shredded":%d,"leaf":"%s","by":%d,"kept":%s}', OLD.position,
            lower(hex(substr(hashes.value, 32 * ((OLD.position - 1) % 16) + 1, 32))), word.position,
            word.body -> '$.data.keeps')
    ), FALSE)
BEGIN SELECT RAISE(ABORT, 'events are never changed: append a correction'); END;
CREATE TRIGGER events_are_never_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are never removed: append a correction'); END;

-- RFC 6962 tree in groups of 16: (level, group) -> the hashes of up to 16 children. Level 0 holds the leaf hashes.
CREATE TABLE tree (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

-- Projections: folds of the log, advanced in the append's own transaction, rebuildable at any time.
-- Keys sort as bytes; values are canonical, so equal states are equal bytes.
CREATE TABLE usage_by_model        (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE usage_by_project      (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE usage_by_conversation (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE uses                  (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE session_openings      (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE facts                 (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE corrections           (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE natural_keys          (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE imported_files        (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE conversations         (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE accounts              (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

-- Snapshots that make --as-of quick: a cache, no part of the state.
CREATE TABLE snapshots             (key BLOB PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
