-- Times are UTC epoch milliseconds. raw_ms and raw_seq are the two halves of an entry id of the stream `raw`: together
-- with the partition (and the place in the entry) they are the origin of all that came from it, and unique.

CREATE TABLE market_data (
    partition    INTEGER NOT NULL,
    raw_ms       INTEGER NOT NULL,
    raw_seq      INTEGER NOT NULL,
    raw_index    INTEGER NOT NULL,
    symbol       TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    source_class TEXT    NOT NULL,
    market_ms    INTEGER NOT NULL,
    received_ms  INTEGER NOT NULL,
    price        REAL    NOT NULL,
    last         REAL,
    bid          REAL,
    ask          REAL,
    day_volume   REAL,
    volume       REAL    NOT NULL,
    volume_kind  TEXT    NOT NULL,
    score        REAL    NOT NULL,
    reasons      TEXT    NOT NULL,
    market_time  INTEGER NOT NULL,
    tick         INTEGER,
    raw_id       TEXT GENERATED ALWAYS AS (raw_ms || '-' || raw_seq) VIRTUAL,
    PRIMARY KEY (partition, raw_ms, raw_seq, raw_index)
) WITHOUT ROWID;

CREATE INDEX market_data_by_symbol ON market_data (symbol, market_ms);

CREATE TABLE rejects (
    partition    INTEGER NOT NULL,
    raw_ms       INTEGER NOT NULL,
    raw_seq      INTEGER NOT NULL,
    raw_index    INTEGER NOT NULL,
    symbol       TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    source_class TEXT    NOT NULL,
    received_ms  INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    detail       TEXT    NOT NULL,
    score        REAL    NOT NULL,
    timeframe    TEXT,
    raw          TEXT,
    raw_bar      TEXT,
    raw_id       TEXT GENERATED ALWAYS AS (raw_ms || '-' || raw_seq) VIRTUAL,
    PRIMARY KEY (partition, raw_ms, raw_seq, raw_index)
) WITHOUT ROWID;

CREATE INDEX rejects_by_symbol ON rejects (symbol, received_ms);

CREATE TABLE clocks (
    partition INTEGER NOT NULL,
    raw_ms    INTEGER NOT NULL,
    raw_seq   INTEGER NOT NULL,
    cycle     INTEGER NOT NULL,
    now_ms    INTEGER NOT NULL,
    wall_ms   INTEGER NOT NULL,
    speed     REAL    NOT NULL,
    raw_id    TEXT GENERATED ALWAYS AS (raw_ms || '-' || raw_seq) VIRTUAL,
    PRIMARY KEY (partition, raw_ms, raw_seq)
) WITHOUT ROWID;

CREATE INDEX clocks_by_time ON clocks (partition, now_ms);

-- What a vendor's history brought, whole: its bars may have lost against built ones in `bars`.
CREATE TABLE history_entries (
    partition    INTEGER NOT NULL,
    raw_ms       INTEGER NOT NULL,
    raw_seq      INTEGER NOT NULL,
    request_id   TEXT    NOT NULL,
    symbol       TEXT    NOT NULL,
    timeframe    TEXT    NOT NULL,
    source_class TEXT    NOT NULL,
    bar_count    INTEGER NOT NULL,
    body         BLOB    NOT NULL,
    raw_id       TEXT GENERATED ALWAYS AS (raw_ms || '-' || raw_seq) VIRTUAL,
    PRIMARY KEY (partition, raw_ms, raw_seq)
);

CREATE TABLE bars (
    symbol       TEXT    NOT NULL,
    source_class TEXT    NOT NULL,
    timeframe    TEXT    NOT NULL,
    open_ms      INTEGER NOT NULL,
    open         REAL    NOT NULL,
    high         REAL    NOT NULL,
    low          REAL    NOT NULL,
    close        REAL    NOT NULL,
    volume       REAL    NOT NULL,
    volume_kind  TEXT    NOT NULL,
    ticks        INTEGER NOT NULL,
    source       TEXT    NOT NULL,
    origin       TEXT    NOT NULL,
    complete     INTEGER NOT NULL,
    PRIMARY KEY (symbol, source_class, timeframe, open_ms)
) WITHOUT ROWID;

CREATE TABLE signals (
    id            TEXT PRIMARY KEY NOT NULL,
    symbol        TEXT    NOT NULL,
    timeframe     TEXT    NOT NULL,
    strategy      TEXT    NOT NULL,
    bar_open_ms   INTEGER NOT NULL,
    action        TEXT    NOT NULL,
    entry         REAL    NOT NULL,
    stop_loss     REAL    NOT NULL,
    take_profit_1 REAL    NOT NULL,
    take_profit_2 REAL    NOT NULL,
    confidence    REAL    NOT NULL,
    quality       REAL    NOT NULL,
    regime        TEXT    NOT NULL,
    reasons       TEXT    NOT NULL,
    published_ms  INTEGER NOT NULL,
    expires_ms    INTEGER NOT NULL,
    data_age_ms   INTEGER NOT NULL,
    atr           REAL    NOT NULL,
    source        TEXT    NOT NULL,
    source_class  TEXT    NOT NULL,
    "values"      TEXT    NOT NULL
);

CREATE INDEX signals_by_time ON signals (published_ms);
CREATE INDEX signals_by_symbol ON signals (symbol, published_ms);

CREATE TABLE source_events (
    id     TEXT PRIMARY KEY NOT NULL,
    source TEXT    NOT NULL,
    event  TEXT    NOT NULL,
    at_ms  INTEGER NOT NULL,
    detail TEXT    NOT NULL,
    fields TEXT    NOT NULL
);

CREATE INDEX source_events_by_source ON source_events (source, at_ms);

CREATE TABLE executions (
    id          TEXT PRIMARY KEY NOT NULL,
    trade_id    TEXT    NOT NULL,
    symbol      TEXT    NOT NULL,
    received_ms INTEGER NOT NULL,
    body        TEXT    NOT NULL
);

CREATE INDEX executions_by_time ON executions (received_ms);

CREATE TABLE client_events (
    id          TEXT PRIMARY KEY NOT NULL,
    event       TEXT    NOT NULL,
    received_ms INTEGER NOT NULL,
    body        TEXT    NOT NULL
);

CREATE INDEX client_events_by_time ON client_events (received_ms);

-- The newest entry of each stream whose rows are in this file, written in the same transaction as they are.
CREATE TABLE stream_positions (
    partition   INTEGER NOT NULL,
    stream      TEXT    NOT NULL,
    incarnation TEXT    NOT NULL,
    last_ms     INTEGER NOT NULL,
    last_seq    INTEGER NOT NULL,
    last_id     TEXT GENERATED ALWAYS AS (last_ms || '-' || last_seq) VIRTUAL,
    PRIMARY KEY (partition, stream)
) WITHOUT ROWID;

-- The gap ledger: bars that were to be expected and did not come. What has no row here is there, or its market was closed.
CREATE TABLE gaps (
    symbol          TEXT    NOT NULL,
    source_class    TEXT    NOT NULL,
    timeframe       TEXT    NOT NULL,
    from_ms         INTEGER NOT NULL,
    to_ms           INTEGER NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('missing', 'repaired', 'no_trade', 'unreachable')),
    attempts        INTEGER NOT NULL,
    found_ms        INTEGER NOT NULL,
    next_attempt_ms INTEGER,
    PRIMARY KEY (symbol, source_class, timeframe, from_ms)
) WITHOUT ROWID;

CREATE INDEX gaps_missing ON gaps (symbol, source_class, timeframe, from_ms) WHERE state = 'missing';

-- Up to where the ledger has looked at a lane.
CREATE TABLE gap_checks (
    symbol       TEXT    NOT NULL,
    source_class TEXT    NOT NULL,
    timeframe    TEXT    NOT NULL,
    checked_ms   INTEGER NOT NULL,
    PRIMARY KEY (symbol, source_class, timeframe)
) WITHOUT ROWID;
