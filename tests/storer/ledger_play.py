"""A storer that minds the gaps of one symbol, and what it says as the stream's time goes on. Minutes count from W0."""

from collections.abc import Sequence
from pathlib import Path

from common import keys
from common.messages import BackfillRequest, Bar, Bars, HistoryBars, Quotes, SeriesChange, Timeframe
from common.metrics import Metrics
from common.stage import Entry, Outcome
from storer.backfill import Lane
from storer.database import Database
from storer.gaps import Watched
from storer.keeper import GapKeeper
from storer.stage import Storer
from tests.storer.values import MINUTE, bar, clock, entry, quote

W0 = 1_700_042_400_000  # Wednesday 2023-11-15 10:00 UTC: the middle of a trading day everywhere but in New York
DAY = 24 * 60
"""In minutes."""
SECOND = 1 / 60
LANE = Lane("EURUSD", "fx_spot", "1m")
TERMINAL_LANE = Lane("EURUSD", "terminal_fx", "1m")
GAP_ROWS = """
SELECT (from_ms - :w0) / 60000, (to_ms - :w0) / 60000, state, attempts FROM gaps
WHERE timeframe = :timeframe AND source_class = :source_class ORDER BY from_ms
"""
_WHY_ROWS = """
SELECT (from_ms - :w0) / 60000, state, partial, source, detail FROM gaps WHERE timeframe = :timeframe ORDER BY from_ms
"""


def minute_bar(minute: int, **changes: object) -> Bar:
    given = {"symbol": "EURUSD", "source_class": "fx_spot", "open_ms": W0 + minute * MINUTE}
    return bar(0, **{**given, **changes})


def minute_quote(minute: float, **changes: object) -> Quotes:
    at_ms = W0 + round(minute * MINUTE) + 1
    return Quotes(
        quotes=(quote(at_ms - W0, 0, "EURUSD", **{"source_class": "fx_spot", "market_ms": at_ms, **changes}),)
    )


def span(request: BackfillRequest) -> tuple[float, float]:
    return (request.from_ms - W0) / MINUTE, (request.to_ms - W0) / MINUTE


def asked_in(outcome: Outcome) -> list[BackfillRequest]:
    return [p.message for p in outcome.publish if isinstance(p.message, BackfillRequest)]


def told_in(outcome: Outcome) -> list[HistoryBars]:
    """Return what features are told."""
    return [p.message for p in outcome.publish if isinstance(p.message, HistoryBars)]


class Play:
    """The storer, its streams' numbers and its database."""

    def __init__(
        self, path: Path, delay_ms: int = 0, timeframes: Sequence[Timeframe] = ("1m",), *, terminal: bool = False
    ) -> None:
        self.database = Database(path)
        self.metrics = Metrics("storer")
        watched = [Watched(Lane("EURUSD", "fx_spot", tf), "fx", delay_ms, timeframes[0]) for tf in timeframes]
        if terminal:
            watched.append(Watched(TERMINAL_LANE, "fx", 0, "1m", history=False))
        self.storer = Storer(0, self.database, self.metrics, GapKeeper(watched, 2_000, self.metrics))
        self.number = 0
        self.asked: list[BackfillRequest] = []

    def entry(self, stream: keys.Stream, message: Bars | HistoryBars | Quotes | SeriesChange) -> Entry:
        self.number += 1
        return entry(stream, self.number, message)

    def give(self, stream: keys.Stream, message: Bars | HistoryBars | Quotes | SeriesChange) -> Outcome:
        outcome = self.storer.handle((self.entry(stream, message),))
        self.asked += asked_in(outcome)
        return outcome

    def bars(self, *minutes: int, **changes: object) -> Outcome:
        return self.give(keys.BARS, Bars(bars=tuple(minute_bar(minute, **changes) for minute in minutes)))

    def clock_entry(self, minute: float) -> Entry:
        self.number += 1
        now_ms = W0 + round(minute * MINUTE)
        tick = clock(self.number)
        return entry(keys.QUOTES, self.number, type(tick)(tick.cycle, now_ms, now_ms, raw_id=tick.raw_id))

    def at(self, minute: float) -> list[BackfillRequest]:
        """Return what the vendors are asked when the stream's clock says so."""
        asked = asked_in(self.storer.handle((self.clock_entry(minute),)))
        self.asked += asked
        return asked

    def reads(self, *entries: Entry) -> bool:
        """Tell whether entries that are read, and not handled yet, call for a look at once."""
        return self.storer.see(entries)

    def answer(
        self,
        *minutes: int,
        request: BackfillRequest | None = None,
        retry_minute: float | None = None,
        **changes: object,
    ) -> Outcome:
        """Give the vendors' answer to a request: the last one."""
        asked = request or self.asked[-1]
        given = {"origin": "vendor", "ticks": 0, "timeframe": asked.timeframe, **changes}
        bars = tuple(minute_bar(minute, **given) for minute in minutes)
        return self.answer_bars(asked, bars, None if retry_minute is None else W0 + int(retry_minute * MINUTE))

    def answer_bars(self, asked: BackfillRequest, bars: Sequence[Bar], retry_ms: int | None = None) -> Outcome:
        """Give the vendors' answer to a request, bar by bar."""
        history = HistoryBars(
            asked.id, "EURUSD", asked.timeframe, asked.source_class, tuple(bars), raw_id=f"{W0}-{self.number}",
            source="twelvedata", retry_ms=retry_ms, detail="" if bars else "twelvedata: outage: away",
        )  # fmt: skip
        return self.give(keys.QUOTES, history)

    def gaps(self, timeframe: str = "1m", source_class: str = "fx_spot") -> list[tuple[int, int, str, int]]:
        """Return (first minute, minute after the last, state, attempts) of every gap that ever was."""
        values = {"w0": W0, "timeframe": timeframe, "source_class": source_class}
        return self.database.connection().execute(GAP_ROWS, values).fetchall()

    def reasons(self, timeframe: str = "1m") -> list[tuple[int, str, int, str, str]]:
        """Return (first minute, state, partial, source, detail) of every gap that ever was."""
        return self.database.connection().execute(_WHY_ROWS, {"w0": W0, "timeframe": timeframe}).fetchall()

    def stored(self, minute: int, timeframe: str = "1m") -> tuple[object, ...]:
        """Return (open, high, low, close, volume, origin, complete, repaired) of a stored bar."""
        columns = "open, high, low, close, volume, origin, complete, repaired"
        query = f"SELECT {columns} FROM bars WHERE open_ms = ? AND timeframe = ? AND source_class = 'fx_spot'"
        found: tuple[object, ...] = (
            self.database.connection().execute(query, (W0 + minute * MINUTE, timeframe)).fetchone()
        )
        return found

    def open_gaps(self) -> float:
        return self.metrics.snapshot().gauges[0].value
