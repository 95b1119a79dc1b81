"""The values of indicators after each bar of a lane's window, worked out at once from its stored bars.

The feature engine works out the last ones only, bar by bar. Those are the same here bit for bit: both begin at the same
bars, and the functions give the same over a history as bar by bar.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from common.bars import VOLUME_KINDS, Records
from common.indicators.anchors import I64, Anchors, Window, first_bar, first_joined_bar
from common.indicators.columns import F64, columns_of
from common.indicators.joined import falls_short, joined
from common.indicators.plan import Indicator
from common.indicators.program import Program, make_program
from common.indicators.running import Places, given_places
from common.indicators.session import SessionClock, session_firsts, session_starts

Span = tuple[int, int]
"""Where in the window an indicator begins, and where it ends: before the second one."""
Outputs = list[F64]
"""One array for each output of an indicator, with a number for each bar of the window; NaN where there is no value."""
WITHOUT_VOLUME = VOLUME_KINDS.index("none")


@dataclass(frozen=True)
class LaneBars:
    """The stored bars of a lane, and what tells where its indicators begin in them."""

    name: str
    """As the anchors' hash takes it."""
    stored: Records
    """The newest max_bars + anchor_bars, oldest first."""
    timeframe_ms: int
    max_bars: int
    anchor_bars: int
    session: SessionClock

    @cached_property
    def bars(self) -> Records:
        """Those in the window."""
        return self.stored[self._place.start :]

    @cached_property
    def anchor(self) -> int:
        """Where in the window the last anchor stands."""
        return self._place.anchor - self._place.start

    @cached_property
    def session_starts(self) -> F64:
        """When the session of each bar in the window began."""
        return session_starts(self.bars["open_ms"], self.timeframe_ms, self.session)

    @cached_property
    def session_firsts(self) -> list[int]:
        """Where in the window the sessions begin that are there from their first bar on."""
        return session_firsts(self.bars["open_ms"], self.session_starts)

    @cached_property
    def _place(self) -> Window:
        anchors = Anchors(self.name, self.timeframe_ms, self.anchor_bars)
        return anchors.window(self.stored["open_ms"], self.max_bars)


def history(
    lane: LaneBars, program: Program, wanted: Sequence[Indicator], others: Mapping[str, Records]
) -> dict[str, F64]:
    """Return by name each output of the wanted indicators of a lane that has bars.

    others: by symbol, the stored bars of the same timeframe that indicators over two symbols look at.
    """
    needed = _needed(program, wanted)
    series = dict[str, F64](columns_of(lane.bars, lane.session_starts if needed.looks_at_sessions else None))
    for one in needed.indicators:
        inputs = [series[ref] for ref in one.inputs]
        series |= zip(one.names, _own(lane, one, inputs, program.feeders), strict=True)
    for one in needed.pairs:
        series |= zip(one.names, _pair(lane, one, others.get(one.other or "")), strict=True)
    for one in wanted:
        if one.needs_volume:
            meaningless = ~_has_volume(lane, one)
            series |= {name: np.where(meaningless, np.nan, series[name]) for name in one.names}
    return {name: series[name] for one in wanted for name in one.names}


def _needed(program: Program, wanted: Iterable[Indicator]) -> Program:
    """Return the program of these indicators and of all that they rest on."""
    found = {one.name for one in wanted}
    refs = {ref for one in wanted for ref in one.inputs}
    for one in reversed(program.indicators):
        if refs & set(one.names):
            found.add(one.name)
        if one.name in found:
            refs |= set(one.inputs)
    return make_program([one for one in (*program.indicators, *program.pairs) if one.name in found])


def _own(lane: LaneBars, indicator: Indicator, inputs: Sequence[F64], feeders: Container[str]) -> Outputs:
    """Return the outputs of an indicator of the lane's own bars. feeders: those of the whole plan."""
    found = _nothing(lane, indicator)
    for begin, end in _spans(lane, indicator, feeders):
        arrays = [array[:end] for array in inputs]
        places = given_places(arrays, begin) if indicator.chained else np.arange(begin, end)
        _fill(indicator, arrays, places, found)
    return found


def _spans(lane: LaneBars, indicator: Indicator, feeders: Container[str]) -> list[Span]:
    """Return what the indicator is worked out over: each on its own, a later one instead of an earlier one."""
    count = len(lane.bars)
    if indicator.memory == "session":
        firsts = lane.session_firsts
        return list(zip(firsts, [*firsts[1:], count], strict=False))
    if indicator.memory == "sessions":
        return [(first, count) for first in lane.session_firsts[:1]]
    begin = first_bar(indicator, lane.anchor, feeders)
    # What begins near the anchor to save time (candlesticks) is shown before it, too; after that as the engine has it.
    return [(0, count), (begin, count)] if begin else [(0, count)]


def _pair(lane: LaneBars, indicator: Indicator, other: Records | None) -> Outputs:
    """Return the outputs of an indicator over two symbols: at the bars that both have."""
    found = _nothing(lane, indicator)
    first = first_joined_bar(lane.anchor, lane.max_bars)
    own = lane.bars[first:]
    if other is None or not len(other):
        return found
    if falls_short(int(other["open_ms"][0]), len(other), lane.max_bars + lane.anchor_bars, int(own["open_ms"][0])):
        return found
    arrays, opens = joined(indicator, own, other)
    both = [np.full(len(opens), np.nan) for _ in indicator.names]
    _fill(indicator, arrays, np.arange(len(opens)), both)
    places = first + np.searchsorted(own["open_ms"], opens)
    for output, values in zip(found, both, strict=True):
        output[places] = values
    return found


def _fill(indicator: Indicator, arrays: Sequence[F64], places: Places, found: Outputs) -> None:
    """Put an indicator's values over some places of the arrays into `found`, where there are any."""
    if len(places) <= indicator.own_lookback:
        return
    _, filled = indicator.function.fill([array[places] for array in arrays], indicator.params)
    for output, values in zip(found, filled, strict=True):
        output[places[indicator.own_lookback :]] = values[indicator.own_lookback :]


def _nothing(lane: LaneBars, indicator: Indicator) -> Outputs:
    return [np.full(len(lane.bars), np.nan) for _ in indicator.names]


def _has_volume(lane: LaneBars, indicator: Indicator) -> NDArray[np.bool_]:
    """Tell of each bar whether those that its value rests on have volume, all of one kind."""
    places = np.arange(len(lane.bars))
    if indicator.memory == "session":
        resting = places - _last_of(lane.session_firsts, len(places)) + 1
    else:
        resting = np.minimum(indicator.settle_bars, places + 1)
    return _kind_runs(lane.bars["volume_kind"]) >= resting


def _kind_runs(kinds: NDArray[np.uint8]) -> I64:
    """Return how many bars up to each one, in a row, have volume of its kind; 0 where it has none."""
    changes = [int(place) + 1 for place in np.flatnonzero(np.diff(kinds))]
    runs = np.arange(len(kinds)) - _last_of(changes, len(kinds)) + 1
    return np.where(kinds == WITHOUT_VOLUME, 0, runs)


def _last_of(marks: Sequence[int], count: int) -> I64:
    """Return for each of so many places the last mark at or before it; 0 where there is none."""
    found = np.zeros(count, dtype=np.int64)
    found[list(marks)] = marks
    return np.maximum.accumulate(found)
