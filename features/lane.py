"""One lane: the closed bars of a symbol in one timeframe, and the indicators after the last of them.

Everything here is a pure function of the lane's stored bars: a lane loaded from the bar cache equals, bit for bit, one
that lived through the same bars.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite

import numpy as np

from common.bars import VOLUME_KINDS, Records, bucket_end_ms, pack
from common.indicators import Candle, Columns, Handle, Indicator, SessionClock, names_of, open_handle
from common.messages import Bar, Timeframe, VolumeKind
from features.bar_window import BarWindow
from features.builder import Forming
from features.readiness import Unready, unready

NAN = float("nan")


@dataclass(frozen=True)
class LaneSetup:
    """What a lane is, and what it computes."""

    symbol: str
    timeframe: Timeframe
    timeframe_ms: int
    max_bars: int
    anchor_bars: int
    plan: tuple[Indicator, ...]

    @property
    def name(self) -> str:
        """The lane's name in requests, logs and the anchors' hash."""
        return f"{self.symbol}|{self.timeframe}"


class Lane:
    """The state of one lane."""

    def __init__(self, setup: LaneSetup, session: SessionClock) -> None:
        self.setup = setup
        self.window = BarWindow(setup.name, setup.timeframe_ms, setup.max_bars, setup.anchor_bars)
        self.names = names_of(setup.plan)
        self.values: list[float] = [NAN] * len(self.names)
        """After the last closed bar, in the order of `names`; NaN where there is none yet."""
        self.previous: list[float] = list(self.values)
        """The same one bar earlier."""
        self.unready: dict[str, Unready] = {}
        self.volume_kind: VolumeKind = "none"
        self.source = ""
        """Of the last closed bar."""
        self.hole_ms = 0
        """From the end of the bar before the last one to the open of the last one."""
        self.stale = False
        """The stored bars were changed: reopen before anything else."""
        self._named: dict[str, float] | None = None
        self._settled = False
        self._session = session
        self._session_start_ms = 0
        self._session_bars: int | None = None
        """Bars of the running session; None where its first bar is not in the window."""
        self._kind_run = 0
        """How many bars at the end of the window have volume of one kind."""
        self._handles: list[Handle | None] = [None] * len(setup.plan)
        self._judge()

    @property
    def ready(self) -> bool:
        """Whether warming up is over: what is still missing is what this series can't have."""
        return self._settled and not self.stale

    def named_values(self) -> dict[str, float]:
        """Return the values that exist, by name. The same dict until the next bar: not to be changed."""
        if self._named is None:
            self._named = {n: v for n, v in zip(self.names, self.values, strict=True) if isfinite(v)}
        return self._named

    def ready_values(self) -> dict[str, float]:
        """Return the values that can be relied on, by name."""
        return {name: value for name, value in self.named_values().items() if name not in self.unready}

    def previous_values(self) -> dict[str, float]:
        """Return the values before the last bar, by name, without those that did not exist."""
        return {n: v for n, v in zip(self.names, self.previous, strict=True) if isfinite(v)}

    # -- bars --------------------------------------------------------------------------------------

    def load(self, records: Sequence[bytes]) -> None:
        """Take the stored bars, oldest first, and open everything over them."""
        self.window.load(records)
        self.reopen()

    def append(self, bar: Bar) -> bytes:
        """Take the next closed bar in and return its record."""
        record = pack(bar)
        before_ms = self.window.last_open_ms
        anchor = self.window.append(record, bar.open_ms)
        if anchor or self.stale:
            self.reopen()
        else:
            self._advance(bar, before_ms)
        return record

    def reopen(self) -> None:
        """Open every indicator anew over the window.

        All but the last bar first: the values before the last bar must rest on the same window.
        """
        self.stale = False
        records = self.window.window()
        self.values = [NAN] * len(self.names)
        self.previous = list(self.values)
        self._handles = [None] * len(self._handles)
        if len(records):
            self._mark(records)
            self._open_all(_columns(records))
        self._judge()

    def _mark(self, records: Records) -> None:
        """Set what is known of the window beside the values."""
        open_ms, length_ms = records["open_ms"], self.setup.timeframe_ms
        self._session_start_ms = self._session.start_ms(int(open_ms[-1]) + length_ms - 1)
        first = int(np.searchsorted(open_ms, self._session_start_ms - length_ms, side="right"))
        known = first > 0 or int(open_ms[0]) <= self._session_start_ms
        self._session_bars = len(records) - first if known else None
        kinds = records["volume_kind"]
        others = np.flatnonzero(kinds != kinds[-1])
        self.volume_kind = VOLUME_KINDS[int(kinds[-1])]
        self.source = bytes(records["source"][-1]).decode()
        self._kind_run = len(kinds) - (int(others[-1]) + 1 if len(others) else 0)
        self.hole_ms = int(open_ms[-1] - open_ms[-2]) - length_ms if len(records) > 1 else 0

    def _open_all(self, columns: Columns) -> None:
        count = len(columns["close"])
        last = Candle(*(float(columns[name][-1]) for name in ("open", "high", "low", "close", "volume")))
        place = 0
        for index, indicator in enumerate(self.setup.plan):
            first = self._first_bar(indicator, count)
            until_last = open_handle(indicator, _cut(columns, first, count - 1)) if first < count - 1 else None
            if until_last is not None:
                self._put(self.previous, place, until_last.value)
                until_last.update(last)
            self._handles[index] = until_last or open_handle(indicator, _cut(columns, first, count))
            place = self._show(index, place)

    def _advance(self, bar: Bar, before_ms: int | None) -> None:
        candle = Candle(bar.open, bar.high, bar.low, bar.close, bar.volume)
        self.hole_ms = bar.open_ms - before_ms - self.setup.timeframe_ms if before_ms is not None else 0
        self._kind_run = self._kind_run + 1 if bar.volume_kind == self.volume_kind else 1
        self.volume_kind, self.source = bar.volume_kind, bar.source
        new_session = self._step_session(bar.open_ms, first=before_ms is None)
        self.previous, self.values = self.values, [NAN] * len(self.names)
        place = 0
        for index, indicator in enumerate(self.setup.plan):
            handle = self._handles[index]
            starts = new_session and indicator.memory == "session"
            if handle is None or starts:
                self._handles[index] = self._open_one(indicator)
                if starts:  # the session before has no part in it
                    self._put(self.previous, place, (NAN,) * len(indicator.names))
                place = self._show(index, place)
            else:
                place = self._put(self.values, place, handle.update(candle))
        self._judge()

    def _step_session(self, open_ms: int, first: bool) -> bool:
        """Count the bar in its session; tell whether it is the first one of it."""
        start_ms = self._session.start_ms(bucket_end_ms(open_ms, self.setup.timeframe_ms) - 1)
        changed = start_ms != self._session_start_ms
        self._session_start_ms = start_ms
        if first:
            self._session_bars = 1 if open_ms <= start_ms else None
        elif changed:
            self._session_bars = 1
        elif self._session_bars is not None:
            self._session_bars += 1
        return changed

    def _open_one(self, indicator: Indicator) -> Handle | None:
        count = self.window.bars_seen
        first = self._first_bar(indicator, count)
        if count - first <= indicator.lookback:
            return None
        return open_handle(indicator, _cut(_columns(self.window.window()), first, count))

    def _first_bar(self, indicator: Indicator, count: int) -> int:
        """Return where in a window of `count` bars the indicator starts; `count` where it can't."""
        if indicator.memory != "session":
            return 0
        return count if self._session_bars is None else count - self._session_bars

    def _show(self, index: int, place: int) -> int:
        handle = self._handles[index]
        if handle is None:
            return place + len(self.setup.plan[index].names)
        return self._put(self.values, place, handle.value)

    @staticmethod
    def _put(values: list[float], place: int, found: tuple[float, ...]) -> int:
        end = place + len(found)
        values[place:end] = found
        return end

    def _judge(self) -> None:
        self._named = None
        self.unready = unready(
            self.setup.plan,
            self.values,
            bars_seen=self.window.bars_seen,
            session_bars=self._session_bars,
            kind_run=self._kind_run if self.volume_kind != "none" else 0,
            ready_at=partial(self.ready_at, 0),
        )
        self._settled = self.window.bars_seen > 0 and not any(why.passing for why in self.unready.values())

    def ready_at(self, now_ms: int, bars: int) -> int:
        """Return when so many more bars have closed at the earliest. now_ms: counts where there is none yet."""
        length_ms, last_ms = self.setup.timeframe_ms, self.window.last_open_ms
        from_ms = bucket_end_ms(now_ms, length_ms) if last_ms is None else last_ms + length_ms
        return self._session.after_open_time(from_ms, bars * length_ms)

    # -- the bar that is being built ---------------------------------------------------------------

    def peek(self, bars: Sequence[Forming]) -> list[float]:
        """Return the values as if the open bars (oldest first, at least one) closed as they stand. Changes nothing."""
        candles = [Candle(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars]
        fresh = self._bars_of_new_session(bars)
        values: list[float] = []
        for indicator, handle in zip(self.setup.plan, self._handles, strict=True):
            if fresh is not None and indicator.memory == "session":
                opened = open_handle(indicator, _columns_of(candles[fresh:]))
                values += opened.value if opened is not None else (NAN,) * len(indicator.names)
            elif handle is None:
                values += (NAN,) * len(indicator.names)
            else:
                values += handle.peek(candles[0]) if len(candles) == 1 else _peek_far(handle, candles)
        return values

    def _bars_of_new_session(self, bars: Sequence[Forming]) -> int | None:
        """Return the index of the first open bar of the last one's session, if that session begins among them."""
        length_ms = self.setup.timeframe_ms
        start_ms = self._session.start_ms(bars[-1].open_ms + length_ms - 1)
        if start_ms == self._session_start_ms:
            return None
        return next(i for i, bar in enumerate(bars) if bar.open_ms + length_ms > start_ms)


def _peek_far(handle: Handle, candles: Sequence[Candle]) -> tuple[float, ...]:
    ahead = handle.copy()
    for candle in candles[:-1]:
        ahead.update(candle)
    return ahead.peek(candles[-1])


def _columns(records: Records) -> Columns:
    return {
        "open": np.ascontiguousarray(records["open"]),
        "high": np.ascontiguousarray(records["high"]),
        "low": np.ascontiguousarray(records["low"]),
        "close": np.ascontiguousarray(records["close"]),
        "volume": np.ascontiguousarray(records["volume"]),
    }


def _columns_of(candles: Sequence[Candle]) -> Columns:
    table = np.array(candles, dtype=np.float64).reshape(-1, 5).T.copy()
    return {"open": table[0], "high": table[1], "low": table[2], "close": table[3], "volume": table[4]}


def _cut(columns: Columns, first: int, end: int) -> Columns:
    return {name: column[first:end] for name, column in columns.items()}
