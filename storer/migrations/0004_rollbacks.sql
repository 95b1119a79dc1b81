-- Redis was found to know less than this file: its streams ended before what had been stored of them, or were empty.
-- What was collected again after that is told from new by its content, up to until_ms of the stream's time.
CREATE TABLE rollbacks (
    partition     INTEGER NOT NULL,
    from_ms       INTEGER NOT NULL,
    from_seq      INTEGER NOT NULL,
    to_ms         INTEGER NOT NULL,
    to_seq        INTEGER NOT NULL,
    incarnation   TEXT    NOT NULL,
    clock_ms      INTEGER NOT NULL,
    until_ms      INTEGER NOT NULL,
    found_wall_ms INTEGER NOT NULL,
    from_id       TEXT GENERATED ALWAYS AS (from_ms || '-' || from_seq) VIRTUAL,
    to_id         TEXT GENERATED ALWAYS AS (to_ms || '-' || to_seq) VIRTUAL,
    PRIMARY KEY (partition, from_ms, from_seq, incarnation)
) WITHOUT ROWID;

-- What came again after a rollback: its new origin, and the origin under which it is stored.
CREATE TABLE repeats (
    partition INTEGER NOT NULL,
    raw_ms    INTEGER NOT NULL,
    raw_seq   INTEGER NOT NULL,
    raw_index INTEGER NOT NULL,
    of_ms     INTEGER NOT NULL,
    of_seq    INTEGER NOT NULL,
    of_index  INTEGER NOT NULL,
    raw_id    TEXT GENERATED ALWAYS AS (raw_ms || '-' || raw_seq) VIRTUAL,
    PRIMARY KEY (partition, raw_ms, raw_seq, raw_index)
) WITHOUT ROWID;

CREATE UNIQUE INDEX repeats_of ON repeats (partition, of_ms, of_seq, of_index);
