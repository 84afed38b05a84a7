-- Alerts are events: rules, firings, and attempts to deliver them. The table of kinds names all kinds of events, so that the
-- file explains itself.
INSERT INTO kinds (code, name) VALUES (18, 'alert_set'), (19, 'alert_fired'), (20, 'alert_delivery');
