"""Redis that knows less than SQLite: noticed by the storer, and what comes again is stored once."""

import sqlite3
from typing import Any

import pytest

from common import keys
from common.fence import Fence
from common.keys import FIELD, RAW
from common.messages import Bars, HistoryBars, Message, Quotes, RawQuote, Reject, Rejects, SeriesChange, encode
from common.metrics import Metrics
from common.reader import Reader
from common.redis_link import Link
from common.retirement import Retirement, retire
from common.settings import Settings
from common.symbols import load_symbols
from storer.database import Database
from storer.keeper import GapKeeper, watched_lanes
from storer.stage import INPUTS, Storer
from tests.storer.values import MINUTE, REJECT, SERIES_CHANGE, T0, bar, clock, entry, quote

AGAIN = 900_000  # how much later the ids are under which something comes again
DAY_S = 86_400


def at(number: int) -> str:
    return f"{T0 + number}-0"


def told(number: int, *, again: bool = False) -> Quotes:
    """Return the quote of a number, under its first id or under the one that it has when it comes again."""
    return Quotes((quote(number, raw_id=at(number + AGAIN * again)),))


def give(storer: Storer, *messages: Message) -> None:
    for message in messages:
        storer.handle((entry(keys.QUOTES if not isinstance(message, Rejects) else keys.REJECTS, 1, message),))


def set_up(link: Link, delivered: int, *raw: int, incarnation: str = "word") -> None:
    """Make a Redis whose storer's group has come so far, with these entries of `raw`."""
    link.call("FLUSHALL")
    link.call("SET", keys.incarnation(0), incarnation)
    for stream in INPUTS:
        link.call("XGROUP", "CREATE", stream.key(0), "storer", at(delivered), "MKSTREAM")
    for number in raw:
        link.call("XADD", RAW.key(0), at(number), FIELD, "x")


@pytest.fixture
def storer(link: Link, database: Database) -> Storer:
    """A storer that has stored three quotes and two clock entries, of which Redis lost the last two and one."""
    set_up(link, 30, 10)
    made = Storer(0, database, Metrics("storer"))
    made.restore(link)
    made.handle((entry(keys.QUOTES, 30, told(10)),))
    give(made, told(20), told(30), clock(1, at(15)), clock(2, at(31)))
    return made


def rolled_back(storer: Storer, link: Link) -> Storer:
    set_up(link, 12, 10)
    storer.restore(link)
    return storer


def counts(outside: sqlite3.Connection, *tables: str) -> list[int]:
    return [outside.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]


def test_a_rollback_is_noticed_once_and_shown(storer: Storer, link: Link, outside: sqlite3.Connection) -> None:
    assert storer.info == {}
    rolled_back(storer, link)
    storer.restore(link)

    found = outside.execute("SELECT from_id, to_id, clock_ms FROM rollbacks").fetchall()
    assert found == [(at(31), at(10), clock(2).now_ms)]
    shown = storer.info["rolled_back:0"]
    assert isinstance(shown, dict)
    assert (shown["from_id"], shown["to_id"]) == (at(31), at(10))


def test_others_that_write_first_hide_nothing(storer: Storer, link: Link, outside: sqlite3.Connection) -> None:
    set_up(link, 12, 10, AGAIN + 20)
    link.call("XADD", keys.QUOTES.key(0), at(AGAIN + 21), FIELD, "x")
    storer.restore(link)
    assert outside.execute("SELECT from_id, to_id FROM rollbacks").fetchall() == [(at(31), at(10))]


def test_a_storer_that_was_retired_and_comes_back_is_no_rollback(
    storer: Storer, link: Link, outside: sqlite3.Connection
) -> None:
    retire(link, 0, "storer", Retirement("its disk died", 1))
    fence = Fence(link, 0, "storer")
    fence.take()
    Reader(link, fence, INPUTS, 0, "storer", "storer").create_groups()

    storer.restore(link)

    assert counts(outside, "rollbacks") == [0]


def test_what_comes_again_is_stored_once_and_what_is_new_too(
    storer: Storer, link: Link, outside: sqlite3.Connection
) -> None:
    rolled_back(storer, link)
    give(storer, told(20, again=True), told(30, again=True), clock(2, at(31 + AGAIN)), told(40, again=True))

    assert counts(outside, "market_data", "clocks", "repeats") == [4, 2, 3]
    assert outside.execute("SELECT raw_id, of_ms FROM repeats WHERE raw_ms = ?", (T0 + 20 + AGAIN,)).fetchall() == [
        (at(20 + AGAIN), T0 + 20)
    ]


def test_an_entry_that_is_delivered_twice_is_judged_once(
    storer: Storer, link: Link, outside: sqlite3.Connection
) -> None:
    rolled_back(storer, link)
    give(storer, told(20, again=True))
    storer.restore(link)
    give(storer, told(20, again=True))
    assert counts(outside, "market_data", "repeats") == [3, 1]


def test_a_row_is_said_again_once(storer: Storer, link: Link, outside: sqlite3.Connection) -> None:
    rolled_back(storer, link)
    twice = Quotes((quote(20, raw_id=at(50 + AGAIN)), quote(20, 1, raw_id=at(50 + AGAIN))))
    give(storer, twice)
    assert counts(outside, "market_data", "repeats") == [4, 1]


def test_what_came_again_and_was_lost_again_is_stored_once(
    storer: Storer, link: Link, outside: sqlite3.Connection
) -> None:
    rolled_back(storer, link)
    storer.handle((entry(keys.QUOTES, 40, told(20, again=True)),))
    rolled_back(storer, link)  # once more, to before the repetition
    third = Quotes((quote(20, raw_id=at(20 + 2 * AGAIN)),))
    storer.handle((entry(keys.QUOTES, 41, third),))

    assert counts(outside, "rollbacks", "market_data", "repeats") == [2, 3, 1]


def test_what_redis_kept_is_not_taken_for_a_repetition(storer: Storer, link: Link, outside: sqlite3.Connection) -> None:
    rolled_back(storer, link)
    give(storer, told(10, again=True))  # a vendor's cache that flickers: the quote before the rollback once more
    assert counts(outside, "market_data", "repeats") == [4, 0]


def test_without_a_vendors_time_only_the_unchanged_quote_is_dropped(
    storer: Storer, link: Link, outside: sqlite3.Connection
) -> None:
    timeless: dict[str, Any] = {"market_time": False, "tick": None, "bid": None, "ask": None, "day_volume": None}

    def price(number: int, last: float) -> Quotes:
        return Quotes((quote(number, raw_id=at(number), market_ms=T0 + number, last=last, **timeless),))

    give(storer, price(25, 5.0), price(26, 6.0))
    rolled_back(storer, link)
    give(storer, price(AGAIN // 2, 6.0), price(AGAIN // 2 + 1, 5.0), price(AGAIN // 2 + 2, 6.0))
    assert counts(outside, "repeats", "market_data") == [1, 7]


def test_rejects_and_changes_of_series_come_once(storer: Storer, link: Link, outside: sqlite3.Connection) -> None:
    def reject(number: int) -> Rejects:
        raw = RawQuote(symbol="EURUSD", source_class="fx_spot", last="1,9")
        fields = {name: getattr(REJECT, name) for name in Reject.__struct_fields__}
        return Rejects((Reject(**fields | {"raw": raw, "raw_id": at(number), "received_ms": T0 + number}),))

    def change(number: int) -> SeriesChange:
        fields = {name: getattr(SERIES_CHANGE, name) for name in SeriesChange.__struct_fields__}
        return SeriesChange(**fields | {"raw_id": at(number)})

    give(storer, reject(26), change(27))
    rolled_back(storer, link)
    give(storer, reject(26 + AGAIN // 2), change(27 + AGAIN))
    assert counts(outside, "rejects", "series_changes", "repeats") == [1, 1, 2]


def test_an_emptied_redis_is_the_same_case(storer: Storer, link: Link, outside: sqlite3.Connection) -> None:
    set_up(link, 5, incarnation="another")
    storer.restore(link)
    give(storer, told(30, again=True), told(40, again=True))
    storer.restore(link)
    assert counts(outside, "market_data", "repeats", "rollbacks") == [4, 1, 1]
    assert outside.execute("SELECT to_id FROM rollbacks").fetchall() == [("0-0",)]


def test_a_locked_database_puts_the_look_off_and_forgets_nothing(
    storer: Storer, link: Link, outside: sqlite3.Connection
) -> None:
    outside.execute("BEGIN IMMEDIATE")
    rolled_back(storer, link)
    set_up(link, 40, 10)  # what is read meanwhile moves the group on
    outside.execute("COMMIT")
    storer.restore(link)
    give(storer, told(20, again=True))
    assert counts(outside, "market_data", "repeats") == [3, 1]


def test_the_engine_gets_the_bars_of_the_lost_time_back_once(link: Link, database: Database) -> None:
    settings = Settings(_env_file=None, symbols=("EURUSD",))  # type: ignore[call-arg]  # pydantic-settings' own argument
    metrics = Metrics("storer")
    lanes = watched_lanes(load_symbols(("EURUSD",)), settings, 0)
    storer = Storer(0, database, metrics, GapKeeper(lanes, 2_000, metrics))
    set_up(link, 30, 10)
    storer.restore(link)
    bars = tuple(bar(minute, symbol="EURUSD", source_class="fx_spot") for minute in range(5))
    storer.handle((entry(keys.BARS, 1, Bars(bars)),))
    for minute in (2, 5):
        storer.handle((entry(keys.QUOTES, 30 + minute, clock(minute * 60, at(10 * minute))),))
    set_up(link, 29, 20)
    storer.restore(link)

    published = [
        p.message
        for minute in (5, 8, 9)
        for p in storer.handle((entry(keys.QUOTES, AGAIN + minute, clock(minute * 60)),)).publish
    ]
    given = [m for m in published if isinstance(m, HistoryBars) and m.instead]
    assert [[b.open_ms for b in m.bars] for m in given] == [[T0 + minute * MINUTE for minute in (2, 3, 4)]]
    assert encode(given[0])
