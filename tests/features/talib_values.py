"""What a lane's values must be, by TA-Lib's batch functions and the rules in words; nothing here is of our own code.

A stretch is the bars from one anchor to the next. All its values rest on the window that begins `max_bars` bars before
and including that anchor: but for sums and places, which begin with the session, and candlestick patterns.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import talib
from numpy.typing import NDArray
from talib import abstract

from common.messages import Bar

F64 = NDArray[np.float64]
Columns = Mapping[str, F64]
"""Of bars, oldest first."""

COLUMNS = ("open", "high", "low", "close", "volume")
FROM_THE_SESSION = frozenset(
    ("AD", "CUMSUM", "MAXINDEX", "MININDEX", "MINMAXINDEX", "NVI", "OBV", "PVI", "PVT", "VWAP", "WAD")
)
"""They begin with the session's first bar: sums that never fade, and places counted from the first bar."""
CANDLE_SPAN = 100
"""Candlestick patterns begin so many bars before and including the anchor."""
GIVEN = {"MAVP": ("close", "volume")}
"""Columns for what has no default ones."""
NEW_YORK = ZoneInfo("America/New_York")


class Stretch(NamedTuple):
    """Places in a life of bars."""

    start: int
    """Where the window begins."""
    anchor: int
    end: int
    """Where the next anchor stands, or would."""


class Values(NamedTuple):
    """By bar, one row each."""

    closed: F64
    peeked: F64
    """As if the bar closed, before it did: an anchor has not moved the window yet."""


class Life(NamedTuple):
    """Bars, and what the rules say of them."""

    opens: Sequence[int]
    columns: Columns
    session_starts: Sequence[int]
    """By bar: when the session began that it belongs to."""
    stretches: Sequence[Stretch]


def described(name: str) -> Any:
    """Return what TA-Lib says of a function."""
    return abstract.Function(name)  # type: ignore[attr-defined]  # not in TA-Lib's stubs


@cache
def column_names(name: str) -> tuple[str, ...]:
    """Return the columns that a function takes by TA-Lib's own description."""
    found: list[str] = []
    for label, given in described(name).input_names.items():
        found += given if isinstance(given, list) else [label if name in GIVEN else given]
    return GIVEN.get(name, tuple(found))


def batch(name: str, *arrays: F64, **params: float) -> tuple[F64, ...]:
    """Return every output of TA-Lib's batch function, NaN where it has none: its whole numbers are 0 there."""
    with np.errstate(all="ignore"):
        found = getattr(talib, name)(*arrays, **params)
    return tuple(_floats(name, output, params) for output in (found if isinstance(found, tuple) else (found,)))


def _floats(name: str, output: NDArray[Any], params: Mapping[str, float]) -> F64:
    floats = np.array(output, dtype=np.float64)
    if output.dtype.kind == "i":
        function = described(name)
        function.parameters = dict(params)
        floats[: function.lookback] = np.nan
    return floats


def life_of(bars: Sequence[Bar], lane: str, bar_ms: int, max_bars: int, anchor_bars: int, session_ms: int) -> Life:
    """Return what the rules say of these bars. session_ms: the market opens each time that this has gone by."""
    opens = [b.open_ms for b in bars]
    columns = {name: np.array([getattr(b, name) for b in bars]) for name in COLUMNS}
    # A bar belongs to the session that its last millisecond falls into.
    starts = [session_start_ms(open_ms + bar_ms - 1, session_ms) for open_ms in opens]
    return Life(opens, columns, starts, stretches(opens, lane, bar_ms, max_bars, anchor_bars))


def session_start_ms(at_ms: int, session_ms: int) -> int:
    """Return when the session began: with the market's opening, or at five in New York where that came later."""
    return max(at_ms - at_ms % session_ms, _five_in_new_york_ms(at_ms // 3_600_000))


@cache
def _five_in_new_york_ms(hour: int) -> int:
    local = datetime.fromtimestamp(hour * 3_600, UTC).astimezone(NEW_YORK)
    five = local.replace(hour=17, minute=0)
    return int((five if five <= local else five - timedelta(days=1)).timestamp()) * 1000


def stretches(opens: Sequence[int], lane: str, bar_ms: int, max_bars: int, anchor_bars: int) -> list[Stretch]:
    """An anchor is the first bar at or after a multiple of anchor_bars bar lengths, moved by a hash of the lane."""
    offset = zlib.crc32(lane.encode()) % anchor_bars
    found: list[Stretch] = []
    for _, members in groupby(range(len(opens)), key=lambda n: (opens[n] // bar_ms + offset) // anchor_bars):
        places = list(members)
        start = max(0, places[0] - max_bars + 1) if found else 0
        found.append(Stretch(start, places[0], places[-1] + 1))
    return found


def expected(name: str, life: Life) -> Values:
    """Return a function's values over a life, with its default parameters on its own columns."""
    arrays = [life.columns[column] for column in column_names(name)]
    width = len(described(name).output_names)
    closed, peeked = (np.full((len(life.opens), width), np.nan) for _ in range(2))
    for part in life.stretches:
        for begin, first, end in runs(name, life, part):
            rows = np.column_stack(batch(name, *(array[begin:end] for array in arrays)))[first - begin :]
            inside = min(end, part.end) - first
            closed[first : first + inside] = rows[:inside]
            # The stretch's own anchor was looked at over the window before it.
            skip = 1 if first == part.anchor and first > 0 else 0
            peeked[first + skip : end] = rows[skip:]
    return Values(closed, peeked)


def runs(name: str, life: Life, part: Stretch) -> Iterator[tuple[int, int, int]]:
    """Yield where to begin, and from and to which bar to take values: the stretch's, and the next anchor's."""
    end = min(part.end + 1, len(life.opens))
    if name not in FROM_THE_SESSION:
        begin = max(part.start, part.anchor - CANDLE_SPAN + 1) if name.startswith("CDL") else part.start
        yield begin, part.anchor, end
        return
    for start_ms, members in groupby(range(part.start, end), key=life.session_starts.__getitem__):
        places = list(members)
        # The session's first bar is known where there is a bar before it, or where it opens with the session.
        known = places[0] > part.start or life.opens[places[0]] <= start_ms
        if known and places[-1] >= part.anchor:
            yield places[0], max(places[0], part.anchor), places[-1] + 1


def same(ours: F64, theirs: F64) -> NDArray[np.bool_]:
    """Tell where numbers are equal bit for bit: any NaN equals any other."""
    found: NDArray[np.bool_] = bits(ours) == bits(theirs)
    return found


def bits(values: F64) -> NDArray[np.int64]:
    """Return the bits of numbers, any NaN alike."""
    return np.where(np.isnan(values), np.nan, values).view(np.int64)
