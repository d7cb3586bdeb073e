-- Gauges of several quantities from several sources: who measured, and when the newest reading of a step was taken.
ALTER TABLE gauges ADD COLUMN source TEXT NOT NULL DEFAULT 'platform';
ALTER TABLE gauges ADD COLUMN newest_ms INTEGER NOT NULL DEFAULT 0;
-- When a reading was taken within its step was not kept; its start is the latest that is sure.
UPDATE gauges SET newest_ms = start_ms;

DROP INDEX gauges_key;
CREATE UNIQUE INDEX gauges_key ON gauges (level, start_ms, kind, name, metric, source);

DROP VIEW usage;
CREATE VIEW usage AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%fZ', g.start_ms / 1000.0, 'unixepoch') AS start,
    l.step_ms, g.kind, g.name, g.metric, g.source, g.sum / g.count AS mean, g.count AS readings,
    strftime('%Y-%m-%dT%H:%M:%fZ', g.newest_ms / 1000.0, 'unixepoch') AS newest
FROM gauges g JOIN levels l ON l.level = g.level;
