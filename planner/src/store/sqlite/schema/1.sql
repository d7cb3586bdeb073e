-- Times are milliseconds since 1970-01-01 UTC, latencies microseconds.

CREATE TABLE levels (
    level        INTEGER PRIMARY KEY,
    step_ms      INTEGER NOT NULL,
    retention_ms INTEGER NOT NULL
);

-- Accepted summaries (protobuf) that are not in steps yet; replayed on start.
CREATE TABLE inbox (
    id          INTEGER PRIMARY KEY,
    received_ms INTEGER NOT NULL,
    body        BLOB    NOT NULL
);

CREATE TABLE series (
    id        INTEGER PRIMARY KEY,
    direction INTEGER NOT NULL, -- 1 inbound, 2 outbound
    caller    TEXT    NOT NULL,
    callee    TEXT    NOT NULL,
    route     TEXT    NOT NULL,
    node      TEXT    NOT NULL,
    zone      TEXT    NOT NULL,
    UNIQUE (direction, caller, callee, route, node, zone)
);

-- A table with row ids and an index: rows hold blobs, which a WITHOUT ROWID table would keep in its inner pages.
CREATE TABLE steps (
    level        INTEGER NOT NULL,
    start_ms     INTEGER NOT NULL,
    series_id    INTEGER NOT NULL,
    ok           INTEGER NOT NULL,
    client_error INTEGER NOT NULL,
    server_error INTEGER NOT NULL,
    aborted      INTEGER NOT NULL,
    sum_us       INTEGER NOT NULL,
    count        INTEGER NOT NULL, -- observations in the histogram: all but the aborted ones
    p50_us       INTEGER,
    p99_us       INTEGER,
    grpc         TEXT,             -- JSON object, status to count
    hdr          BLOB    NOT NULL  -- HDR V2, not compressed; empty when count is 0
);

-- Time before series: steps are written, read back and forgotten in the order of time.
CREATE UNIQUE INDEX steps_key ON steps (level, start_ms, series_id);

CREATE TABLE gauges (
    level    INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    kind     TEXT    NOT NULL, -- node or workload
    name     TEXT    NOT NULL,
    metric   TEXT    NOT NULL,
    sum      REAL    NOT NULL,
    count    INTEGER NOT NULL
);

CREATE UNIQUE INDEX gauges_key ON gauges (level, start_ms, kind, name, metric);

-- One row for each worker of each proxy; epoch, sequences and counts are 64 bits without sign, kept as the signed
-- number of the same bits.
CREATE TABLE streams (
    mesh           TEXT    NOT NULL,
    cluster        TEXT    NOT NULL,
    namespace      TEXT    NOT NULL,
    workload       TEXT    NOT NULL,
    pod            TEXT    NOT NULL,
    epoch          INTEGER NOT NULL,
    node           TEXT    NOT NULL,
    zone           TEXT    NOT NULL,
    first_seen_ms  INTEGER NOT NULL,
    last_seen_ms   INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    highest        INTEGER NOT NULL,
    floor          INTEGER NOT NULL,
    gaps           TEXT    NOT NULL,
    summaries      INTEGER NOT NULL,
    observations   INTEGER NOT NULL,
    cumulative     INTEGER NOT NULL,
    before_first   INTEGER NOT NULL,
    duplicates     INTEGER NOT NULL,
    overflow       INTEGER NOT NULL,
    failed_pushes  INTEGER NOT NULL,
    fallbacks      INTEGER NOT NULL,
    config_error   TEXT    NOT NULL,
    ahead          INTEGER NOT NULL,
    UNIQUE (mesh, cluster, namespace, workload, pod, epoch)
);

-- For people with sqlite3.
CREATE VIEW latency AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%fZ', t.start_ms / 1000.0, 'unixepoch') AS start,
    l.step_ms,
    CASE s.direction WHEN 1 THEN 'inbound' ELSE 'outbound' END AS direction,
    s.caller, s.callee, s.route, s.node, s.zone,
    t.count AS requests,
    t.client_error AS client_errors,
    t.server_error AS server_errors,
    t.aborted,
    t.count * 1000.0 / l.step_ms AS rps,
    round(t.sum_us / 1000.0 / nullif(t.count, 0), 3) AS mean_ms,
    t.p50_us / 1000.0 AS p50_ms,
    t.p99_us / 1000.0 AS p99_ms
FROM steps t JOIN series s ON s.id = t.series_id JOIN levels l ON l.level = t.level;

CREATE VIEW usage AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%fZ', g.start_ms / 1000.0, 'unixepoch') AS start,
    l.step_ms, g.kind, g.name, g.metric, g.sum / g.count AS mean, g.count AS readings
FROM gauges g JOIN levels l ON l.level = g.level;

CREATE VIEW proxies AS
SELECT
    mesh, cluster, namespace, workload, pod, node, zone, printf('%016x', epoch) AS epoch,
    strftime('%Y-%m-%dT%H:%M:%fZ', last_seen_ms / 1000.0, 'unixepoch') AS last_seen,
    summaries, observations, max(cumulative - observations - before_first, 0) AS lost,
    duplicates, failed_pushes, overflow, fallbacks, config_error
FROM streams;
