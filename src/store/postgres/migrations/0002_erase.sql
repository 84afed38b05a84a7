-- Erases lines for programs that do not own the tables, such as a server of pushed ledgers that runs as usage_ledger_server. A line
-- can only become its own tombstone, which states its position and the hash of the line that it replaces. So no caller can
-- change what the log says: the hashes of the tree stay those of the erased lines.
CREATE FUNCTION usage_ledger.erase(ledger text, positions bigint[], bodies bytea[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $erase$
DECLARE
    wrong bigint;
BEGIN
    SELECT min(n.place) INTO wrong FROM (
        SELECT t.place, t.body AS tombstone, e.body AS line,
            convert_to('{"shredded":' || t.place || ',"leaf":"', 'UTF8') AS head,
            convert_to('","by":', 'UTF8') AS tail
        FROM unnest(positions, bodies) AS t (place, body)
        LEFT JOIN usage_ledger.events e ON e.ledger_id = ledger AND e.position = t.place
    ) n
    WHERE n.line IS NULL OR (
        -- The first tombstone of a line.
        substring(n.tombstone FROM 1 FOR length(n.head) + 64 + length(n.tail))
            <> n.head || convert_to(encode(sha256('\x00'::bytea || n.line), 'hex'), 'UTF8') || n.tail
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

-- roles.sql grants it.
REVOKE ALL ON FUNCTION usage_ledger.erase(text, bigint[], bytea[]) FROM PUBLIC;
