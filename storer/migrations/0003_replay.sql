-- The storer's own answers that changed a lane of the feature engine: after which entry of `raw`, and by which bars.
CREATE TABLE history_taken (
    partition    INTEGER NOT NULL,
    history_ms   INTEGER NOT NULL,
    history_seq  INTEGER NOT NULL,
    raw_ms       INTEGER NOT NULL,
    raw_seq      INTEGER NOT NULL,
    request_id   TEXT    NOT NULL,
    symbol       TEXT    NOT NULL,
    timeframe    TEXT    NOT NULL,
    source_class TEXT    NOT NULL,
    bar_count    INTEGER NOT NULL,
    body         BLOB    NOT NULL,
    raw_id       TEXT GENERATED ALWAYS AS (raw_ms || '-' || raw_seq) VIRTUAL,
    PRIMARY KEY (partition, history_ms, history_seq)
);

CREATE INDEX history_taken_by_origin ON history_taken (partition, raw_ms, raw_seq);

-- Where Redis began empty: from this entry of `raw` on the stages knew nothing of what had been before.
CREATE TABLE incarnations (
    partition   INTEGER NOT NULL,
    incarnation TEXT    NOT NULL,
    raw_ms      INTEGER NOT NULL,
    raw_seq     INTEGER NOT NULL,
    raw_id      TEXT GENERATED ALWAYS AS (raw_ms || '-' || raw_seq) VIRTUAL,
    PRIMARY KEY (partition, incarnation)
) WITHOUT ROWID;

INSERT INTO incarnations SELECT DISTINCT partition, incarnation, 0, 0 FROM stream_positions;
