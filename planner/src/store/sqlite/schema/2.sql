-- Windows of summaries that were much longer than a base step: the rate of the service in the steps that they cover is
-- not known. Times are those of whole base steps, so that the proxies of one outage share a row.
CREATE TABLE long_windows (
    end_ms   INTEGER NOT NULL,
    callee   TEXT    NOT NULL,
    start_ms INTEGER NOT NULL,
    PRIMARY KEY (end_ms, callee, start_ms)
) WITHOUT ROWID;
