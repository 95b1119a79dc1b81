"""One lane: the closed bars of a symbol in one timeframe, and the indicators after the last of them.

Everything here is a pure function of the lane's stored bars: a lane loaded from the bar cache equals, bit for bit, one
that lived through the same bars.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import isfinite

import numpy as np

from common.bars import INCOMPLETE, VOLUME_KINDS, Records, bucket_end_ms, pack
from common.indicators import F64, NAN, Cells, Columns, Indicator, Program, RunningSet, SessionClock
from common.indicators.anchors import I64, first_bar, lane_name
from common.indicators.columns import columns_of
from common.indicators.running import open_set
from common.indicators.session import session_firsts, session_starts
from common.messages import Bar, Timeframe, VolumeKind
from features.ahead import Ahead
from features.bar_window import BarWindow
from features.builder import Forming
from features.holes import longest_hole_bars
from features.readiness import Judge, Standing, Unready


@dataclass(frozen=True)
class LaneSetup:
    """What a lane is, and what it computes."""

    symbol: str
    timeframe: Timeframe
    timeframe_ms: int
    max_bars: int
    anchor_bars: int
    program: Program

    @property
    def name(self) -> str:
        """The lane's name in requests, logs and the anchors' hash."""
        return lane_name(self.symbol, self.timeframe)


class Lane:
    """The state of one lane."""

    def __init__(self, setup: LaneSetup, session: SessionClock) -> None:
        self.setup = setup
        self.name = setup.name
        self.window = BarWindow(setup.name, setup.timeframe_ms, setup.max_bars, setup.anchor_bars)
        self.names = setup.program.names
        self.values: list[float] = [NAN] * len(self.names)
        """After the last closed bar, in the order of `names`; NaN where there is none yet."""
        self.previous: list[float] = list(self.values)
        """The same one bar earlier."""
        self.volume_kind: VolumeKind = "none"
        self.source = ""
        """Of the last closed bar."""
        self.hole_ms = 0
        """From the end of the bar before the last one to the open of the last one."""
        self.stale = False
        """The stored bars were changed: to be opened anew before anything else."""
        self.bars_closed = 0
        """How often the values changed: what is made of them can be kept until it grows."""
        self._session = session
        self._session_start_ms = 0
        self._session_bars: int | None = None
        """Bars of the running session; None where its first bar is not in the window."""
        self._kind_run = 0
        """How many bars at the end of the window have volume of one kind."""
        self._ahead: Ahead | None = None
        self._judge = Judge(setup.program, partial(earliest, self.window, session))
        self._pair_values = [NAN] * (len(self.names) - setup.program.own_values)
        self._pair_bars = (0,) * len(setup.program.pairs)
        self._judge_now()

    @cached_property
    def _running(self) -> RunningSet:
        """The indicators. Made with the first use: what is loaded from a cache is opened over that, in its place."""
        return RunningSet(self.setup.program)

    @property
    def unready(self) -> dict[str, Unready]:
        """Why each value that can't be relied on can't."""
        return self._judge.unready

    @property
    def ready(self) -> bool:
        """Whether warming up is over: what is still missing is what this series can't have."""
        return self.window.bars_seen > 0 and not self.stale and not self._judge.warming

    def ready_values(self) -> dict[str, float]:
        """Return the values that can be relied on as soon as a bar has closed, by name.

        Those over two symbols are not: they follow when all bars of the moment have closed.
        """
        own, unready = self.setup.program.own_values, self.unready
        found = zip(self.names[:own], self.values[:own], strict=True)
        return {n: v for n, v in found if n not in unready} if unready else dict(found)

    def previous_values(self) -> dict[str, float]:
        """Return the values before the last bar, by name, without those that did not exist."""
        return {n: v for n, v in zip(self.names, self.previous, strict=True) if isfinite(v)}

    def longest_hole_bars(self, lookback_bars: int) -> int:
        """Return the longest hole within so many bars before the last one, in bars of open market time.

        A bar that was built in part counts as missing: what it lacks may have been its high or low.
        """
        bars = self.window.newest(min(lookback_bars + 1, self.window.bars_seen))
        whole = (bars["flags"] & INCOMPLETE) == 0
        whole[:1] = True  # where the lookback begins
        return longest_hole_bars(bars["open_ms"][whole], self.setup.timeframe_ms, self._session.after_open_time)

    # -- bars --------------------------------------------------------------------------------------

    def load(self, joined: bytes | bytearray) -> None:
        """Take the stored bars, joined, oldest first. They are opened by reopen(), or with the next bar.

        A bytearray is kept as it is: nobody else may change it.
        """
        self.window.load(joined)
        self.stale = True

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
        """Open every indicator anew over the window."""
        self.stale, self._ahead = False, None
        records = self.window.window()
        if len(records):
            self._mark(records)
            opened = open_set(self.setup.program, self._columns(records), len(records), self._start_of)
            self._running = opened.running
            self.previous = opened.previous + [NAN] * len(self._pair_values)
            self.values = opened.values + self._pair_values
        else:
            self.values = [NAN] * len(self.names)
            self.previous = list(self.values)
            self._running = RunningSet(self.setup.program)
        self._judge_now()

    def show_pairs(self, values: Sequence[float], bars: tuple[int, ...]) -> None:
        """Take the values of the indicators that look at another symbol as well. bars: what each one rests on."""
        self._pair_values, self._pair_bars = list(values), bars
        self.values[self.setup.program.own_values :] = self._pair_values
        self._judge_now()

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

    def _columns(self, records: Records) -> Columns:
        looked_at = self.setup.program.looks_at_sessions
        return columns_of(records, self._session_starts(records["open_ms"]) if looked_at else None)

    def _session_starts(self, open_ms: I64) -> F64:
        return session_starts(open_ms, self.setup.timeframe_ms, self._session)

    def _start_of(self, indicator: Indicator) -> int | None:
        """Return where in the window an indicator starts; None where that can't be told yet."""
        if indicator.memory == "session":
            return None if self._session_bars is None else self.window.bars_seen - self._session_bars
        if indicator.memory == "sessions":
            return self._first_whole_session()
        return first_bar(indicator, self.window.anchor_place, self.setup.program.feeders)

    def _first_whole_session(self) -> int | None:
        open_ms = self.window.window()["open_ms"]
        firsts = session_firsts(open_ms, self._session_starts(open_ms))
        return firsts[0] if firsts else None

    def _advance(self, bar: Bar, before_ms: int | None) -> None:
        same_kind = bar.volume_kind == self.volume_kind
        self.hole_ms = bar.open_ms - before_ms - self.setup.timeframe_ms if before_ms is not None else 0
        self._kind_run = self._kind_run + 1 if same_kind else 1
        self.volume_kind, self.source = bar.volume_kind, bar.source
        previous = self.values
        begins = self._step_session(bar.open_ms, first=before_ms is None)
        if begins:
            self._begin_session(previous)
        row: Cells = [bar.open, bar.high, bar.low, bar.close, bar.volume, bar.open_ms, self._session_start_ms]
        self.values = self._running.update(row)
        if self._ahead is not None and not self._ahead.follow(row):
            self._ahead = None
        self.previous = previous
        if self._pair_values:
            self.values += self._pair_values
            previous[self.setup.program.own_values :] = [NAN] * len(self._pair_values)  # they move on apart
        if same_kind and not begins and self._judge.lasting:
            self.bars_closed += 1
            self._judge.look_again(self.values)
        else:
            self._judge_now()

    def _begin_session(self, previous: list[float]) -> None:
        """Begin anew what starts at a session's first bar: the session before has no part in it."""
        self._running.begin_session()
        place = 0
        for indicator in self.setup.program.indicators:
            end = place + len(indicator.names)
            if indicator.memory == "session":
                previous[place:end] = [NAN] * (end - place)
            place = end

    def _step_session(self, open_ms: int, first: bool) -> bool:
        """Count the bar in its session; tell whether a session begins with it whose beginning is known."""
        start_ms = self._session.start_ms(bucket_end_ms(open_ms, self.setup.timeframe_ms) - 1)
        changed = start_ms != self._session_start_ms
        self._session_start_ms = start_ms
        if first:
            self._session_bars = 1 if open_ms <= start_ms else None
            return self._session_bars is not None
        if changed:
            self._session_bars = 1
        elif self._session_bars is not None:
            self._session_bars += 1
        return changed

    def _judge_now(self) -> None:
        self.bars_closed += 1
        kind_run = self._kind_run if self.volume_kind != "none" else 0
        at = Standing(self.window.bars_seen, self._session_bars, kind_run, self._pair_bars)
        self._judge.look(at, self.values)

    def ready_at(self, now_ms: int, bars: int) -> int:
        """Return when so many more bars have closed at the earliest. now_ms: counts where there is none yet."""
        return earliest(self.window, self._session, now_ms, bars)

    # -- the bar that is being built ---------------------------------------------------------------

    def peek(self, bars: Sequence[Forming]) -> list[float]:
        """Return the values as if the open bars (oldest first, at least one) closed as they stand. Changes nothing.

        Indicators over two symbols have none: the other symbol's bar is open as well.
        """
        rows = [self._cells(bar) for bar in bars]
        if len(rows) == 1 and rows[0][-1] == self._session_start_ms:
            self._ahead = None
            values = self._running.peek(rows[0])
        else:
            values = self._peek_far(rows)
        return values + [NAN] * len(self._pair_values) if self._pair_values else values

    def _peek_far(self, rows: Sequence[Cells]) -> list[float]:
        if self._ahead is None or not self._ahead.reach(rows[:-1]):
            self._ahead = Ahead(self._running.copy(), self._session_start_ms)
            self._ahead.reach(rows[:-1])
        return self._ahead.peek(rows[-1])

    def _cells(self, bar: Forming) -> Cells:
        start_ms = self._session.start_ms(bar.open_ms + self.setup.timeframe_ms - 1)
        return [bar.open, bar.high, bar.low, bar.close, bar.volume, bar.open_ms, start_ms]


def earliest(window: BarWindow, session: SessionClock, now_ms: int, bars: int) -> int:
    """Return when so many more bars of a window have closed at the earliest: see Lane.ready_at."""
    length_ms, last_ms = window.timeframe_ms, window.last_open_ms
    from_ms = bucket_end_ms(now_ms, length_ms) if last_ms is None else last_ms + length_ms
    return session.after_open_time(from_ms, bars * length_ms)
