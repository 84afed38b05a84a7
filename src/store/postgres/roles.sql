-- Who may do what. Run by the owner of the tables when the schema is created or changed; every statement may be repeated.
-- A person or program gets one of the roles below and the role of each ledger it may use:
--     GRANT usage_ledger_writer, "usage_ledger_of_team" TO alice;
-- A server of pushed ledgers gets usage_ledger_server alone.
-- The owner of the tables is above these rules: it migrates the schema and erases shredded lines.

-- Row-level security: a role sees and writes the rows of the ledgers whose role it has, and no other row.
ALTER TABLE usage_ledger.heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_ledger.events ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_ledger.projections ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_ledger.settings ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS of_members ON usage_ledger.heads;
DROP POLICY IF EXISTS of_members ON usage_ledger.events;
DROP POLICY IF EXISTS of_members ON usage_ledger.projections;
DROP POLICY IF EXISTS of_members ON usage_ledger.settings;
CREATE POLICY of_members ON usage_ledger.heads
    USING (pg_has_role(current_user, to_regrole(quote_ident('usage_ledger_of_' || ledger_id))::oid, 'MEMBER'));
CREATE POLICY of_members ON usage_ledger.events
    USING (pg_has_role(current_user, to_regrole(quote_ident('usage_ledger_of_' || ledger_id))::oid, 'MEMBER'));
CREATE POLICY of_members ON usage_ledger.projections
    USING (pg_has_role(current_user, to_regrole(quote_ident('usage_ledger_of_' || ledger_id))::oid, 'MEMBER'));
CREATE POLICY of_members ON usage_ledger.settings
    USING (pg_has_role(current_user, to_regrole(quote_ident('usage_ledger_of_' || ledger_id))::oid, 'MEMBER'));
DROP POLICY IF EXISTS of_auditors ON usage_ledger.heads;
DROP POLICY IF EXISTS of_auditors ON usage_ledger.events;
DROP POLICY IF EXISTS of_auditors ON usage_ledger.projections;
DROP POLICY IF EXISTS of_auditors ON usage_ledger.settings;
CREATE POLICY of_auditors ON usage_ledger.heads FOR SELECT TO usage_ledger_auditor USING (true);
CREATE POLICY of_auditors ON usage_ledger.events FOR SELECT TO usage_ledger_auditor USING (true);
CREATE POLICY of_auditors ON usage_ledger.projections FOR SELECT TO usage_ledger_auditor USING (true);
CREATE POLICY of_auditors ON usage_ledger.settings FOR SELECT TO usage_ledger_auditor USING (true);

-- A server of pushed ledgers writes all ledgers, and adds new ones.
DROP POLICY IF EXISTS of_servers ON usage_ledger.heads;
DROP POLICY IF EXISTS of_servers ON usage_ledger.events;
DROP POLICY IF EXISTS of_servers ON usage_ledger.projections;
DROP POLICY IF EXISTS of_servers ON usage_ledger.settings;
CREATE POLICY of_servers ON usage_ledger.heads TO usage_ledger_server USING (true) WITH CHECK (true);
CREATE POLICY of_servers ON usage_ledger.events TO usage_ledger_server USING (true) WITH CHECK (true);
CREATE POLICY of_servers ON usage_ledger.projections TO usage_ledger_server USING (true) WITH CHECK (true);
CREATE POLICY of_servers ON usage_ledger.settings TO usage_ledger_server USING (true) WITH CHECK (true);

REVOKE ALL ON SCHEMA usage_ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA usage_ledger TO usage_ledger_reader, usage_ledger_writer, usage_ledger_auditor;
GRANT SELECT ON ALL TABLES IN SCHEMA usage_ledger TO usage_ledger_reader, usage_ledger_writer, usage_ledger_auditor;
-- The log: a writer adds rows and can never change or remove one.
GRANT INSERT ON usage_ledger.events TO usage_ledger_writer;
-- Heads and projections follow from the log. `verify` compares them with it.
GRANT INSERT, UPDATE ON usage_ledger.heads TO usage_ledger_writer;
GRANT INSERT, UPDATE, DELETE ON usage_ledger.projections TO usage_ledger_writer;
GRANT usage_ledger_writer TO usage_ledger_server;
-- A line can only become its own tombstone (0002_erase.sql).
GRANT EXECUTE ON FUNCTION usage_ledger.erase(text, bigint[], bytea[]) TO usage_ledger_server;
GRANT usage_ledger_reader, usage_ledger_writer, usage_ledger_server, usage_ledger_auditor TO usage_ledger_owner;
