"""Seeded prices without an end: ticks on a lattice of cycles, and history before the start."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TypeVar

import numpy as np

from simulator.instruments import Instrument, Terms
from simulator.path import Path, mix, mix_one, seed_of, uniform
from simulator.sessions import Session, earlier, later, newest_session, session_of, sessions_between
from simulator.ticks import F64, I64, Bars, Extremes, Sight, Snapshot, Ticks, aggregate, coarsen, join

MINUTE_MS = 60_000
_FINE_HISTORY_MS = 10 * 86_400_000
"""So long before the start history has a tick each second; before that, one each 16 seconds."""
_COARSE_LEVEL = 4
_GROUP = 8
"""One tick in each group of so many is left out: vendors don't change every second."""
_QUIET_MINUTE_ONE_IN = 211
_SPREAD_MS, _SCATTER = 4000, 2_654_435_761
"""In one of five stretches of four seconds the spread is wide; Knuth's multiplier picks them."""
_KEPT: dict[int, int] = {60_000: 40, 300_000: 120, 900_000: 300}
_KEPT_OTHER = 800

T = TypeVar("T")


@dataclass(frozen=True)
class Level:
    """Where a symbol's spot price stands at the start, and how much it moves."""

    spot: float
    daily: float
    """Standard deviation of a trading day's return."""


LEVELS: dict[str, Level] = {
    "NAS100": Level(21_000.0, 0.014),
    "XAUUSD": Level(2_650.0, 0.011),
    "EURUSD": Level(1.085, 0.0055),
    "GBPUSD": Level(1.27, 0.006),
    "US30": Level(43_000.0, 0.010),
    "US500": Level(5_900.0, 0.011),
}
DEFAULT_LEVEL = Level(100.0, 0.01)


class Recent:
    """The values computed last, at most so many."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[Hashable, object] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of `key`, made now if it is not kept."""
        if key in self._values:
            self._values.move_to_end(key)
        else:
            self._values[key] = make()
            if len(self._values) > self._limit:
                self._values.popitem(last=False)
        return self._values[key]  # type: ignore[return-value]  # each key always has one maker


@dataclass(frozen=True)
class Lattice:
    """When live ticks come: number j of the lattice arrives at start_ms + j * step_ms, j >= 1."""

    start_ms: int
    step_ms: int
    jitter: bool
    """Market times lie up to a second before the arrival; else they are the arrival."""


def lattice_of(start_ms: int, interval_ms: int) -> Lattice:
    """Return the lattice on which at most one tick comes in each interval; ticks stand on whole seconds."""
    step_ms = -(-interval_ms // 1000) * 1000
    return Lattice(start_ms, step_ms, jitter=interval_ms == step_ms)


class Walk:
    """The spot price of one symbol at any second."""

    def __init__(self, symbol: str, seed: int, start_ms: int, activity: F64) -> None:
        level = LEVELS.get(symbol, DEFAULT_LEVEL)
        self.path = Path(seed_of(seed, symbol), level.daily, activity)
        self.spot = level.spot
        self.daily = level.daily
        self._origin = float(self.path.values(start_ms // 1000, start_ms // 1000)[0])
        self._recent = Recent(3)

    def spots(self, first_s: int, last_s: int, level: int = 0) -> F64:
        """Return spot prices at every multiple of 2**level seconds in the range."""

        def compute() -> F64:
            return np.asarray(self.spot * np.exp(self.path.values(first_s, last_s, level) - self._origin))

        return self._recent.get((first_s, last_s, level), compute)


class GeneratedSeries:
    """One instrument's ticks and bars. Nothing is kept that can't be computed again."""

    def __init__(self, instrument: Instrument, terms: Terms, walk: Walk, lattice: Lattice, seed: int) -> None:
        self._session = instrument.session
        self._terms = terms
        self._walk = walk
        self._lattice = lattice
        self._seed = seed_of(seed, instrument.symbol, instrument.source_class)
        self._ticks = Recent(3)
        self._bars = {width: Recent(kept) for width, kept in _KEPT.items()}
        self._other_bars = Recent(_KEPT_OTHER)
        self._closes = Recent(8)
        self._extremes = Extremes()
        self._first_numbers: dict[date, int] = {}
        first = newest_session(self._session, lattice.start_ms).day
        self._first_numbers[first] = 1
        self._numbered_to = first

    # -- which ticks there are --------------------------------------------------------------------

    def _skipped(self, groups: I64) -> I64:
        return (mix(self._seed, groups) % np.uint64(_GROUP)).astype(np.int64)

    def _kept_upto(self, j: int) -> int:
        """Return how many of the lattice's ticks 1..j are not left out."""
        full, part = divmod(max(j, 0), _GROUP)
        return (_GROUP - 1) * full + part - int(mix_one(self._seed, full) % _GROUP < part)

    def _lattice_range(self, session: Session) -> tuple[int, int]:
        """Return the first and the last j inside a session; first > last if there is none."""
        start, step = self._lattice.start_ms, self._lattice.step_ms
        return max(1, -((start - session.open_ms - 1000) // step)), (session.close_ms - 1 - start) // step

    def _first_number(self, day: date) -> int:
        """Return the number of the first live tick in the session of `day`, which is not before the first one."""
        while self._numbered_to < day:
            first, last = self._lattice_range(session_of(self._session, self._numbered_to))
            count = self._kept_upto(last) - self._kept_upto(first - 1) if last >= first else 0
            following = later(self._numbered_to)
            self._first_numbers[following] = self._first_numbers[self._numbered_to] + count
            self._numbered_to = following
        return self._first_numbers[day]

    def _history_seconds(self, session: Session) -> tuple[I64, int]:
        """Return the seconds of the session's ticks up to the start, and the level of their spacing."""
        level = 0 if session.close_ms > self._lattice.start_ms - _FINE_HISTORY_MS else _COARSE_LEVEL
        last = min(session.close_ms - 1, self._lattice.start_ms) // 1000
        first = -(-session.open_ms // 1000 >> level) << level
        seconds = np.arange(first, last + 1, 1 << level, dtype=np.int64)
        if self._session != "fx":
            quiet = mix(self._seed + 1, seconds // 60) % np.uint64(_QUIET_MINUTE_ONE_IN) == 0
            seconds = seconds[~quiet]
        return seconds, level

    def _live(self, session: Session) -> I64:
        """Return the j of the session's live ticks."""
        first, last = self._lattice_range(session)
        if last < first:
            return np.empty(0, dtype=np.int64)
        j = np.arange(first, last + 1, dtype=np.int64)
        groups, place = (j - 1) // _GROUP, (j - 1) % _GROUP
        distinct = np.arange(groups[0], groups[-1] + 1, dtype=np.int64)
        return np.asarray(j[place != self._skipped(distinct)[groups - groups[0]]])

    # -- what they say ----------------------------------------------------------------------------

    def _prices(self, seconds: I64, level: int) -> F64:
        terms = self._terms
        first, last = int(seconds[0]), int(seconds[-1])
        origin = first >> level << level
        spot = self._walk.spots(first, last, level)[(seconds - origin) >> level]
        grid = np.round((spot * terms.ratio + terms.offset) * terms.steps_per_unit)
        return np.asarray(grid / terms.steps_per_unit, dtype=np.float64)

    def _volumes(self, seconds: I64, spacing_s: F64) -> I64:
        rate = self._terms.volume_per_s
        if not rate:
            return np.zeros(len(seconds), dtype=np.int64)
        path = self._walk.path
        busy = path.cluster(int(seconds[0]), int(seconds[-1]))[(seconds >> 9) - (int(seconds[0]) >> 9)]
        size = -np.log1p(-uniform(mix(self._seed + 2, seconds)))
        return np.asarray(np.floor(rate * spacing_s * busy * size), dtype=np.int64)

    def _make(self, session: Session) -> Ticks:
        lattice = self._lattice
        old, level = np.empty(0, dtype=np.int64), 0
        if session.open_ms <= lattice.start_ms:
            old, level = self._history_seconds(session)
        j = self._live(session) if session.close_ms > lattice.start_ms else np.empty(0, dtype=np.int64)
        arrival = np.concatenate((old * 1000, lattice.start_ms + j * lattice.step_ms))
        market = arrival.copy()
        if lattice.jitter:
            market[len(old) :] -= 1 + (mix(self._seed + 3, j) % np.uint64(999)).astype(np.int64)
        seconds = arrival // 1000
        spacing = np.full(len(seconds), lattice.step_ms / 1000)
        spacing[: len(old)] = 1 << level
        volume = self._volumes(seconds, spacing)
        number = (self._first_number(session.day) if len(j) else 1) - len(old)
        return Ticks(market, arrival, self._prices(seconds, level), volume, np.cumsum(volume), number)

    def _ticks_of(self, session: Session) -> Ticks:
        return self._ticks.get(session.day, lambda: self._make(session))

    def _last_price(self, session: Session) -> float | None:
        """Return the price of a session's last tick; None if it has none (with cycles longer than the session)."""
        reach_ms = max(10 * MINUTE_MS, 2 * _GROUP * self._lattice.step_ms)
        end = Session(session.day, max(session.open_ms, session.close_ms - reach_ms), session.close_ms)
        live = self._live(end)
        if len(live):
            return float(self._prices((self._lattice.start_ms + live[-1:] * self._lattice.step_ms) // 1000, 0)[0])
        if session.open_ms > self._lattice.start_ms:
            return None
        seconds, level = self._history_seconds(end if session.close_ms <= self._lattice.start_ms else session)
        return float(self._prices(seconds[-1:], level)[0])

    def _close_before(self, session: Session) -> float:
        """Return the last price of the sessions before."""
        while True:
            session = session_of(self._session, earlier(session.day))
            price = self._closes.get(session.day, partial(self._last_price, session))
            if price is not None:
                return price

    # -- what can be seen -------------------------------------------------------------------------

    def snapshot(self, sight: Sight) -> Snapshot:
        """Return the newest tick that has arrived."""
        session = newest_session(self._session, sight.until_ms)
        ticks = self._ticks_of(session)
        index = int(np.searchsorted(ticks.arrival_ms, sight.until_ms, "right")) - 1
        while index < 0:
            session = session_of(self._session, earlier(session.day))
            ticks = self._ticks_of(session)
            index = len(ticks.price) - 1
        return self._describe(session, ticks, index)

    def _describe(self, session: Session, ticks: Ticks, index: int) -> Snapshot:
        price = float(ticks.price[index])
        high, low = self._extremes.upto(ticks.price, 0, index)
        bid, ask = self._sides(price, int(ticks.market_ms[index]))
        unit = self._terms.steps_per_unit
        usual = self._terms.price(self._walk.spot)
        return Snapshot(
            number=ticks.number(index),
            market_ms=int(ticks.market_ms[index]),
            price=price,
            bid=bid,
            ask=ask,
            volume=int(ticks.volume[index]),
            day_volume=int(ticks.day_volume[index]),
            day_open=float(ticks.price[0]),
            day_high=high,
            day_low=low,
            previous_close=self._close_before(session),
            year_high=max(high, round(usual * 1.12 * unit) / unit),
            year_low=min(low, round(usual * 0.83 * unit) / unit),
        )

    def _sides(self, price: float, market_ms: int) -> tuple[float, float]:
        """Return bid and ask around a price that is their middle, to the last bit where eight tries find such two."""
        unit = self._terms.steps_per_unit
        wide = (market_ms // _SPREAD_MS * _SCATTER >> 16) % 5 == 0
        spread, steps = self._terms.half_spread_steps * (3 if wide else 2) // 2, round(price * unit)
        tries = [((steps - wider) / unit, (steps + wider) / unit) for wider in range(spread, spread + 8)]
        return next((sides for sides in tries if sum(sides) / 2 == price), tries[0])

    def bars(self, width_ms: int, from_ms: int, to_ms: int, sight: Sight) -> Bars:
        """Return the bars that open in [from_ms, to_ms), made of the ticks that have arrived."""
        end = min(to_ms, sight.until_ms + 1)
        parts = [
            self._session_bars(session, width_ms, sight)
            for session in sessions_between(self._session, from_ms - width_ms, end)
        ]
        return coarsen(join(parts), width_ms).between(from_ms, to_ms)

    def _session_bars(self, session: Session, width_ms: int, sight: Sight) -> Bars:
        if session.close_ms <= sight.until_ms:
            return self._bars.get(width_ms, self._other_bars).get(
                (session.day, width_ms), lambda: self._whole(session, width_ms)
            )
        ticks = self._ticks_of(session)
        seen = int(np.searchsorted(ticks.arrival_ms, sight.until_ms, "right"))
        return aggregate(ticks, 0, seen, width_ms)

    def _whole(self, session: Session, width_ms: int) -> Bars:
        if width_ms > MINUTE_MS and session.close_ms > self._lattice.start_ms - 3 * _FINE_HISTORY_MS:
            minutes = self._bars[MINUTE_MS].get((session.day, MINUTE_MS), lambda: self._whole(session, MINUTE_MS))
            return coarsen(minutes, width_ms)
        ticks = self._make(session)
        return aggregate(ticks, 0, len(ticks.price), width_ms)
