-- A quote that was collected to check another source feeds no bar. `detail` says what `reasons` can't.
ALTER TABLE market_data ADD COLUMN is_check INTEGER NOT NULL DEFAULT 0;
ALTER TABLE market_data ADD COLUMN detail TEXT NOT NULL DEFAULT '';
ALTER TABLE rejects ADD COLUMN is_check INTEGER NOT NULL DEFAULT 0;

-- 1: the gap ledger had this bar put in the place of one that was missing, or built from part of its quotes.
ALTER TABLE bars ADD COLUMN repaired INTEGER NOT NULL DEFAULT 0;

-- From this entry on another class feeds the symbol's series: the collector's decision.
CREATE TABLE series_changes (
    partition    INTEGER NOT NULL,
    raw_ms       INTEGER NOT NULL,
    raw_seq      INTEGER NOT NULL,
    symbol       TEXT    NOT NULL,
    source_class TEXT    NOT NULL,
    before       TEXT    NOT NULL,
    at_ms        INTEGER NOT NULL,
    why          TEXT    NOT NULL,
    raw_id       TEXT GENERATED ALWAYS AS (raw_ms || '-' || raw_seq) VIRTUAL,
    PRIMARY KEY (partition, raw_ms, raw_seq)
) WITHOUT ROWID;

CREATE INDEX series_changes_by_symbol ON series_changes (symbol, at_ms);

-- The gap ledger, anew: how many bars, whether there is one from part of its quotes, when and from where it was closed.
ALTER TABLE gaps RENAME TO gaps_before;
DROP INDEX gaps_missing;

CREATE TABLE gaps (
    symbol          TEXT    NOT NULL,
    source_class    TEXT    NOT NULL,
    timeframe       TEXT    NOT NULL,
    from_ms         INTEGER NOT NULL,
    to_ms           INTEGER NOT NULL,
    bars            INTEGER NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('missing', 'repaired', 'no_trade', 'unrepairable')),
    partial         INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    found_ms        INTEGER NOT NULL,
    next_attempt_ms INTEGER,
    closed_ms       INTEGER,
    source          TEXT    NOT NULL,
    detail          TEXT    NOT NULL,
    PRIMARY KEY (symbol, source_class, timeframe, from_ms)
) WITHOUT ROWID;

INSERT INTO gaps
SELECT symbol, source_class, timeframe, from_ms, to_ms,
       (to_ms - from_ms) / CASE timeframe WHEN '1m' THEN 60000 WHEN '5m' THEN 300000 WHEN '15m' THEN 900000
                                          WHEN '1h' THEN 3600000 ELSE 1000 END,
       CASE state WHEN 'unreachable' THEN 'unrepairable' ELSE state END, 0, attempts, found_ms, next_attempt_ms,
       CASE state WHEN 'missing' THEN NULL ELSE found_ms END, '',
       CASE state WHEN 'unreachable' THEN 'older than any vendor''s history' ELSE '' END
FROM gaps_before;
DROP TABLE gaps_before;

CREATE INDEX gaps_missing ON gaps (symbol, source_class, timeframe, from_ms) WHERE state = 'missing';
CREATE INDEX gaps_by_state ON gaps (symbol, source_class, timeframe, state, from_ms, bars);

-- Since when the ledger accounts for a lane, and when the vendors were last asked for its gaps.
ALTER TABLE gap_checks ADD COLUMN begun_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE gap_checks ADD COLUMN asked_ms INTEGER NOT NULL DEFAULT 0;
UPDATE gap_checks SET begun_ms = checked_ms;
