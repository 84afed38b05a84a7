-- A ledger can move to another cluster while it is written (docs/scale.md). Its row here then names the other place and refuses every
-- further commit: each commit counts `version`, and the constraint keeps that of the move. So a program that knows nothing
-- of moves is refused too.
ALTER TABLE usage_ledger.heads
    -- The cluster where the ledger is, and its address for people. Nothing means here.
    ADD COLUMN moved_to text,
    ADD COLUMN moved_address text,
    -- incoming: a copy that is being made of the ledger there. leaving: complete here, taking no more events, until the copy there is
    -- complete. moved: the ledger is there.
    ADD COLUMN moved_state text CHECK (moved_state IN ('incoming', 'leaving', 'moved')),
    ADD COLUMN moved_version bigint,
    ADD CONSTRAINT heads_moved_check CHECK ((moved_state IS NULL) = (moved_to IS NULL)
        AND (moved_state IS NULL OR moved_version IS NOT DISTINCT FROM version));

-- What belongs to a ledger and follows from no event, such as where its older lines are. No secrets.
CREATE TABLE usage_ledger.settings (
    ledger_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (ledger_id, name)
);
