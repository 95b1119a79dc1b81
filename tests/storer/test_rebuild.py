"""The raw stream, given back from SQLite entry by entry."""

import random
from collections.abc import Iterator
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from common import keys
from common.messages import (
    Bar,
    Clock,
    HistoryBars,
    Message,
    Quote,
    Quotes,
    RawBar,
    RawBars,
    RawQuote,
    RawQuotes,
    Reject,
    Rejects,
    SeriesChange,
)
from common.metrics import Metrics
from common.stage import Entry
from storer.database import Database
from storer.rebuild import RawMessage, raw_entries
from storer.stage import Storer
from tests.storer.values import MINUTE, T0, entry
from tests.support_examples import examples

Raw = tuple[str, RawMessage]
SOURCES = ("yahoo", "twelvedata", "polygon")


def raw_quote(rng: random.Random) -> RawQuote:
    """Return a quote as vendors send them: fields missing, some text where a number belongs."""
    number = rng.choice([None, round(rng.uniform(1, 2000), 5), rng.uniform(0.5, 2)])
    bad = rng.random() < 0.2
    return RawQuote(
        symbol=rng.choice(["XAUUSD", "EURUSD"]), source_class="c", market_ms=rng.choice([None, T0 + 77]),
        last="n/a" if bad else rng.uniform(1, 2), bid=number, ask=number, day_volume=rng.choice([None, 7.0]),
        tick=rng.choice([None, rng.randrange(10**6)]),
    )  # fmt: skip


def raw_bars(rng: random.Random, received_ms: int) -> RawBars:
    """Return a vendor's history in which some bars are broken."""
    first = T0 - rng.randrange(1, 500) * MINUTE
    bars = [
        RawBar(first + i * MINUTE, 1.0, "high" if rng.random() < 0.3 else 1.5, 0.5, 1.25, rng.uniform(0, 9))
        for i in range(rng.randrange(6))
    ]
    bars.insert(rng.randrange(len(bars) + 1), RawBar(first - MINUTE, 1.0, 1.5, 0.5, 1.25, 2.0))
    return RawBars(
        "r|1",
        "polygon",
        "c",
        "EURUSD",
        "1m",
        received_ms,
        "traded",
        tuple(bars),
        rng.random() < 0.5,
        "some",
        rng.choice([None, T0 + 99]),
    )


def raw_stream(rng: random.Random, cycles: int) -> Iterator[Raw]:
    """Yield some cycles of `raw`: entries of several sources, histories, and the clock at each cycle's end."""
    for cycle in range(cycles):
        now_ms = T0 + cycle * 1000
        for sequence in range(rng.randrange(4)):
            quotes = tuple(raw_quote(rng) for _ in range(rng.randrange(1, 5)))
            yield (
                f"{now_ms + 3}-{sequence}",
                RawQuotes(rng.choice(SOURCES), now_ms - sequence, quotes, rng.random() < 0.2),
            )
        if rng.random() < 0.3:
            yield f"{now_ms + 3}-{7}", raw_bars(rng, now_ms)
        if rng.random() < 0.2:
            yield f"{now_ms + 3}-{8}", SeriesChange("EURUSD", "terminal_fx", "fx_spot", now_ms, "terminal_came")
        yield f"{now_ms + 3}-{10}", Clock(cycle, now_ms, now_ms + 17, 1.0)


def validated(raw_id: str, message: RawMessage) -> Iterator[Message]:
    """Yield what a validator makes of a raw entry: it quarantines what has text in it."""
    if isinstance(message, RawQuotes):
        yield from judged_quotes(raw_id, message)
    elif isinstance(message, RawBars):
        yield from judged_bars(raw_id, message)
    elif isinstance(message, SeriesChange):
        yield structs.replace(message, raw_id=raw_id)
    else:
        yield Clock(message.cycle, message.now_ms, message.wall_ms, message.speed, raw_id)


def judged_quotes(raw_id: str, raw: RawQuotes) -> Iterator[Message]:
    accepted, rejected = [], []
    for i, q in enumerate(raw.quotes):
        if isinstance(q.last, float):
            accepted.append(Quote(
                q.symbol, raw.source, q.source_class, raw.received_ms if q.market_ms is None else q.market_ms,
                raw.received_ms, q.last, raw_id, i, q.last, q.bid, q.ask, q.day_volume,  # type: ignore[arg-type]
                market_time=q.market_ms is not None, tick=q.tick,
                check=raw.check,
            ))  # fmt: skip
        else:
            rejected.append(Reject(
                q.symbol, raw.source, "c", raw.received_ms, "text", "", 0.0, raw_id, i, raw=q, check=raw.check,
            ))  # fmt: skip
    if accepted:
        yield Quotes(tuple(accepted))
    if rejected:
        yield Rejects(tuple(rejected))


def judged_bars(raw_id: str, raw: RawBars) -> Iterator[Message]:
    accepted, rejected = [], []
    for i, b in enumerate(raw.bars):
        if isinstance(b.high, float):
            numbers = (b.open, b.high, b.low, b.close, b.volume)
            accepted.append(Bar(
                raw.symbol, raw.timeframe, b.open_ms, *numbers, raw.volume_kind, 0, raw.source,  # type: ignore[arg-type]
                raw.source_class, "vendor",
            ))  # fmt: skip
        else:
            rejected.append(Reject(
                raw.symbol, raw.source, raw.source_class, raw.received_ms, "text", "", 0.0, raw_id, i, raw_bar=b,
                timeframe=raw.timeframe,
            ))  # fmt: skip
    yield HistoryBars(
        raw.request_id, raw.symbol, raw.timeframe, raw.source_class, tuple(accepted), raw.final, raw.detail, raw_id,
        raw.source, raw.received_ms, raw.retry_ms,
    )  # fmt: skip
    if rejected:
        yield Rejects(tuple(rejected))


def entries(raw: list[Raw]) -> list[Entry]:
    """Return the storer's entries for a raw stream, rejects in their own stream."""
    messages = [message for raw_id, body in raw for message in validated(raw_id, body)]
    return [
        entry(keys.REJECTS if isinstance(message, Rejects) else keys.QUOTES, number, message)
        for number, message in enumerate(messages)
    ]


@given(st.integers(0, 2**32))
@examples(25)
def test_the_raw_stream_comes_back_entry_by_entry(seed: int) -> None:
    from pathlib import Path
    from tempfile import TemporaryDirectory

    rng = random.Random(seed)
    raw = list(raw_stream(rng, 30))
    shuffled = entries(raw)
    rng.shuffle(shuffled)
    with TemporaryDirectory() as folder:
        database = Database(Path(folder) / "market.db")
        storer = Storer(0, database, Metrics("storer"))
        for start in range(0, len(shuffled), 7):
            storer.handle(tuple(shuffled[start : start + 7]))
        assert list(raw_entries(database.connection(), T0, T0 + 10**6)) == raw
        database.close()


@pytest.fixture
def stored(storer: Storer) -> list[Raw]:
    """Twenty cycles in the database."""
    raw = list(raw_stream(random.Random(5), 20))
    storer.handle(tuple(entries(raw)))
    return raw


def test_a_period_begins_after_the_clock_before_it_and_ends_with_its_last_clock(
    stored: list[Raw], database: Database
) -> None:
    clocks = [i for i, (_, message) in enumerate(stored) if isinstance(message, Clock)]
    got = list(raw_entries(database.connection(), T0 + 5_000, T0 + 8_000))
    assert got == stored[clocks[4] + 1 : clocks[7] + 1]
    assert [m.cycle for _, m in got if isinstance(m, Clock)] == [5, 6, 7]


def test_a_period_without_cycles_is_empty(stored: list[Raw], database: Database) -> None:
    assert list(raw_entries(database.connection(), T0 + 10**6, T0 + 10**7)) == []


def test_another_partition_is_another_stream(stored: list[Raw], database: Database) -> None:
    assert list(raw_entries(database.connection(), T0, T0 + 10**6, partition=1)) == []


def test_every_kind_of_raw_message_is_covered(stored: list[Raw]) -> None:
    assert {type(message) for _, message in stored} == set(get_args(RawMessage))
    assert set(keys.RAW.kinds) == {type(m).__struct_config__.tag for _, m in stored}
