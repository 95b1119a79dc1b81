"""What goes in comes out, once, whatever arrives how often."""

import sqlite3
from pathlib import Path

import pytest

from common import keys
from common.errors import Rejected
from common.history import History, read_bars
from common.messages import BackfillRequest, Bar, Bars, Quotes
from common.stage import Outcome
from storer.database import Database
from storer.rows import rows_of
from storer.stage import Storer
from storer.tables import COLUMNS
from tests.storer.values import EXECUTION, HISTORY, REJECT, SIGNAL, T0, bar, clock, entry, one_of_each, quote

MUCH_LATER = T0 * 2


def table_counts(connection: sqlite3.Connection) -> dict[str, int]:
    return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in COLUMNS}


def test_every_kind_comes_back_equal(storer: Storer, path: Path) -> None:
    assert storer.handle(one_of_each()) == Outcome([], [])
    history = History(path)
    assert history.quotes("XAUUSD", MUCH_LATER, 10) == (quote(1),)
    assert history.quotes("EURUSD", MUCH_LATER, 10) == (quote(1, 1, "EURUSD", source_class="fx_spot", last=None),)
    assert history.bars("XAUUSD", "gold_spot", "1m", MUCH_LATER, 10) == (*HISTORY.bars, bar(0), bar(1))
    assert history.signals(MUCH_LATER, 10) == (SIGNAL,) == history.signals(MUCH_LATER, 10, "XAUUSD")
    assert history.rejects("EURUSD", MUCH_LATER, 10) == (REJECT,)
    assert history.executions(MUCH_LATER, 10) == (EXECUTION,)
    assert history.written_ms() == T0 + 1000


def test_each_kind_has_its_rows(storer: Storer, outside: sqlite3.Connection) -> None:
    storer.handle(one_of_each())
    assert table_counts(outside) == {
        "market_data": 2, "rejects": 1, "clocks": 1, "series_changes": 1, "history_entries": 1, "bars": 4, "signals": 1,
        "source_events": 1, "executions": 1, "client_events": 1, "stream_positions": 7, "history_taken": 1,
            "incarnations": 1,
    }  # fmt: skip


def test_a_batch_that_arrives_again_changes_nothing(storer: Storer, outside: sqlite3.Connection) -> None:
    storer.handle(one_of_each())
    before = list(outside.iterdump())
    storer.handle(one_of_each())
    assert list(outside.iterdump()) == before


def test_the_same_origin_in_another_entry_is_stored_once(storer: Storer, path: Path) -> None:
    storer.handle((entry(keys.QUOTES, 1, Quotes(quotes=(quote(1),))),))
    storer.handle((entry(keys.QUOTES, 9, Quotes(quotes=(quote(1), quote(9)))),))
    assert History(path).quotes("XAUUSD", MUCH_LATER, 10) == (quote(1), quote(9))


def test_an_entry_older_than_the_position_is_written_all_the_same(storer: Storer, path: Path) -> None:
    storer.handle((entry(keys.QUOTES, 9, Quotes(quotes=(quote(9),))),))
    storer.handle((entry(keys.QUOTES, 1, Quotes(quotes=(quote(1),))),))
    assert History(path).quotes("XAUUSD", MUCH_LATER, 10) == (quote(1), quote(9))


def test_positions_only_advance_within_one_incarnation(storer: Storer, outside: sqlite3.Connection) -> None:
    def position() -> list[tuple[str, str]]:
        return outside.execute("SELECT incarnation, last_id FROM stream_positions").fetchall()

    storer._incarnation = "first"
    storer.handle((entry(keys.QUOTES, 9, clock(9)),))
    storer.handle((entry(keys.QUOTES, 5, clock(5)),))
    assert position() == [("first", f"{T0 + 9}-0")]
    storer._incarnation = "second"
    storer.handle((entry(keys.QUOTES, 6, clock(6)),))
    assert position() == [("second", f"{T0 + 6}-0")]


PARTIAL, VENDOR, BUILT = (
    bar(close=1929.5, complete=False),
    bar(close=1930.0, origin="vendor", ticks=0),
    bar(close=1930.5),
)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        (PARTIAL, VENDOR, VENDOR),
        (VENDOR, PARTIAL, VENDOR),
        (PARTIAL, BUILT, BUILT),
        (BUILT, PARTIAL, BUILT),
        (VENDOR, BUILT, BUILT),
        (BUILT, VENDOR, BUILT),
        (BUILT, bar(close=1931.0), BUILT),
        (VENDOR, bar(close=1931.0, origin="vendor", source="yahoo"), VENDOR),
    ],
)
def test_the_better_of_two_bars_stays(database: Database, storer: Storer, first: Bar, second: Bar, kept: Bar) -> None:
    for number, arriving in enumerate((first, second)):
        storer.handle((entry(keys.BARS, number, Bars(bars=(arriving,))),))
    assert read_bars(database.connection(), "XAUUSD", "gold_spot", "1m", MUCH_LATER, 5) == (kept,)


def test_a_bad_entry_leaves_nothing_of_its_batch_behind(storer: Storer, outside: sqlite3.Connection) -> None:
    good = entry(keys.QUOTES, 1, Quotes(quotes=(quote(1),)))
    too_long = entry(keys.QUOTES, 2, Quotes(quotes=(quote(2, tick=2**70),)))
    with pytest.raises(OverflowError):
        storer.handle((good, too_long))
    assert set(table_counts(outside).values()) == {0}
    storer.handle((good,))
    assert table_counts(outside)["market_data"] == 1


def test_a_missing_value_is_an_error_and_not_ignored(storer: Storer, outside: sqlite3.Connection) -> None:
    not_a_number = entry(keys.QUOTES, 1, Quotes(quotes=(quote(1, price=float("nan")),)))  # SQLite takes NaN for NULL
    with pytest.raises(sqlite3.IntegrityError):
        storer.handle((not_a_number,))
    assert table_counts(outside)["market_data"] == 0


def test_an_origin_that_is_no_entry_id_is_rejected(storer: Storer) -> None:
    with pytest.raises(Rejected, match="no_origin"):
        storer.handle((entry(keys.QUOTES, 1, Quotes(quotes=(quote(1, raw_id=""),))),))


def test_a_kind_that_is_not_stored_is_rejected(storer: Storer) -> None:
    with pytest.raises(Rejected, match="found BackfillRequest"):
        storer.handle((entry(keys.QUOTES, 1, BackfillRequest("1", "XAUUSD", "1m", "gold_spot", 0, 1)),))


def test_what_is_written_is_counted(database: Database, storer: Storer) -> None:
    storer.handle(one_of_each())
    counted = {s.labels["table"]: s.value for s in storer._metrics.snapshot().counters}
    assert counted["market_data"] == 2
    assert counted["bars"] == 4
    storer.handle(one_of_each())
    counted = {s.labels["table"]: s.value for s in storer._metrics.snapshot().counters}
    assert counted["market_data"] == 2


def test_where_redis_began_empty_is_the_first_origin_stored_under_its_word(
    database: Database, outside: sqlite3.Connection
) -> None:
    for word, numbers in (("one", (3, 4)), ("one", (1,)), ("two", (8, 7)), ("two", (9,))):
        database.write(rows_of([entry(keys.QUOTES, number, clock(number)) for number in numbers], 0, word))
    rows = outside.execute("SELECT incarnation, raw_ms, raw_seq FROM incarnations ORDER BY 2").fetchall()
    assert rows == [("one", T0 + 3_000, 7), ("two", T0 + 7_000, 7)]
