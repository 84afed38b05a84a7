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

-- A line that moved to an archive (archive.rs) leaves a zero byte and its leaf hash here. Its tombstone has the same hash.
CREATE OR REPLACE FUNCTION usage_ledger.erase(ledger text, positions bigint[], bodies bytea[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $erase$
DECLARE
    wrong bigint;
BEGIN
    SELECT min(n.place) INTO wrong FROM (
        SELECT t.place, t.body AS tombstone, e.body AS line,
            convert_to('{"shredded":' || t.place || ',"leaf":"', 'UTF8') AS head,
            convert_to('","by":', 'UTF8') AS tail,
            CASE WHEN substring(e.body FROM 1 FOR 1) = '\x00'::bytea THEN substring(e.body FROM 2)
                ELSE sha256('\x00'::bytea || e.body) END AS leaf
        FROM unnest(positions, bodies) AS t (place, body)
        LEFT JOIN usage_ledger.events e ON e.ledger_id = ledger AND e.position = t.place
    ) n
    WHERE n.line IS NULL OR (
        -- The first tombstone of a line.
        substring(n.tombstone FROM 1 FOR length(n.head) + 64 + length(n.tail))
            <> n.head || convert_to(encode(n.leaf, 'hex'), 'UTF8') || n.tail
        -- A later one, of which less is left.
        AND (
            substring(n.line FROM 1 FOR length(n.head)) <> n.head
            OR substring(n.tombstone FROM 1 FOR length(n.head) + 64 + length(n.tail))
                <> substring(n.line FROM 1 FOR length(n.head) + 64 + length(n.tail))
        )
    );
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the line at position % can only become its own tombstone', wrong
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE usage_ledger.events e SET body = t.body
    FROM unnest(positions, bodies) AS t (place, body)
    WHERE e.ledger_id = ledger AND e.position = t.place;
END
$erase$;
