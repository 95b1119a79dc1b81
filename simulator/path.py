"""A random walk that can be read anywhere: seeded, endless, without state.

The logarithm of the price is a Brownian motion in business time, built by midpoint displacement on a dyadic grid of
wall seconds (Lévy's construction): each midpoint has one normal number, hashed from the seed, the level and the index.
Business time runs by the hour of the week; clusters of volatility scale the displacements of their neighbourhood. At
the coarsest level (97 days) the points are independent, so the walk stays near its level for ever.
"""

import zlib

import numpy as np
import numpy.typing as npt

from simulator.ticks import F64, I64

U64 = npt.NDArray[np.uint64]

_TOP = 23
"""The coarsest spacing is 2**23 seconds."""
_CLUSTERS = ((15, 0.35), (12, 0.3), (9, 0.3))
"""Spacing (as a power of two of seconds) and strength of the three scales of volatility clusters."""
_CLUSTER_SHIFT = 9
_CLUSTER_VARIANCE = sum(strength * strength for _, strength in _CLUSTERS)
_LOCAL_LEVELS = 12
"""Clusters and jumps shape what happens within about an hour; wider moves are plainly normal."""
_SWINGS = {8: 2.2, 9: 2.2}
"""Stronger swings of 8 to 17 minutes than a pure random walk has, so that averages of minute bars cross often."""
_JUMP_SCALE = 4.0
"""Of one displacement in 2048."""
_HOURS = 168


def mix(seed: int, index: I64) -> U64:
    """Return 64 well mixed bits for each index (splitmix64)."""
    with np.errstate(over="ignore"):
        z = index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(z ^ (z >> np.uint64(31)), dtype=np.uint64)


def mix_one(seed: int, index: int) -> int:
    """Return the same bits for one index."""
    return int(mix(seed, np.array([index], dtype=np.int64))[0])


def seed_of(seed: int, *names: object) -> int:
    """Return a seed of its own for each name."""
    text = "|".join(map(str, (seed, *names))).encode()
    return zlib.crc32(text) << 32 | zlib.crc32(text[::-1] + b"#")


def uniform(bits: U64) -> F64:
    """Return numbers in [0, 1) from mixed bits."""
    return np.asarray((bits >> np.uint64(11)) * (1.0 / (1 << 53)), dtype=np.float64)


def normal(bits: U64) -> F64:
    """Return nearly normal numbers with unit variance from mixed bits, never beyond 3.5."""
    mask = np.uint64(0xFFFF)
    total = (bits & mask) + (bits >> np.uint64(16) & mask) + (bits >> np.uint64(32) & mask) + (bits >> np.uint64(48))
    z = (total.astype(np.float64) / 65536.0 - 2.0) * np.sqrt(3.0)
    return np.asarray(z, dtype=np.float64)


def with_jumps(bits: U64) -> F64:
    """Return the same numbers, one in 2048 of them far out."""
    with np.errstate(over="ignore"):
        jumps = (bits * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(53) == 0
    return np.asarray(np.where(jumps, _JUMP_SCALE, 1.0) * normal(bits), dtype=np.float64)


def weekly_activity(session: str) -> F64:
    """Return how busy each hour of the week is, UTC, from Thursday 00:00 (the epoch's weekday); the mean is 1."""
    by_hour = np.array([6, 6, 6, 5, 5, 6, 9, 12, 13, 12, 11, 11, 14, 20, 22, 18, 15, 12, 10, 11, 6, 2, 4, 5], float)
    week = np.tile(by_hour, 7)
    saturday = slice(46, 94)  # Friday 22:00 to Sunday 22:00
    week[saturday] = 0.1
    if session == "us_cash":
        week = week**1.3
    return np.asarray(week / week.mean(), dtype=np.float64)


class Path:
    """One symbol's walk. `daily` is the standard deviation of a trading day's return."""

    def __init__(self, seed: int, daily: float, activity: F64) -> None:
        self._seed = seed
        self._activity = activity
        self._elapsed = np.concatenate(([0.0], np.cumsum(activity)))
        self._sigma = daily / np.sqrt(self._elapsed[-1] / 5)
        self._spread = daily * np.sqrt((1 << _TOP) / 86_400 * 5 / 7) / 2

    def business(self, at_s: I64) -> F64:
        """Return the business time of each second, in mean hours."""
        hour = at_s // 3600
        of_week = hour % _HOURS
        part = (at_s - hour * 3600) / 3600.0
        whole = self._elapsed[-1] * (hour // _HOURS) + self._elapsed[of_week]
        return np.asarray(whole + self._activity[of_week] * part, dtype=np.float64)

    def cluster(self, first_s: int, last_s: int) -> F64:
        """Return the volatility factors of the 512-second cells from the one of first_s to the one of last_s."""
        cell = np.arange(first_s >> _CLUSTER_SHIFT, (last_s >> _CLUSTER_SHIFT) + 1, dtype=np.int64)
        total = np.zeros(len(cell))
        for shift, strength in _CLUSTERS:
            total += strength * normal(mix(self._seed + shift, cell >> (shift - _CLUSTER_SHIFT))).clip(-2.5, 2.5)
        return np.asarray(np.exp(total - _CLUSTER_VARIANCE), dtype=np.float64)

    def _halve(self, level: int, left: int, value: F64, at: F64) -> tuple[F64, F64]:
        """Return the values and business times at half the spacing; `left` is the index of the first point now."""
        middle_s = ((np.arange(left, left + len(value) - 1, dtype=np.int64) << 1) + 1) << level
        at_middle = self.business(middle_s)
        before, after = at_middle - at[:-1], at[1:] - at_middle
        span = before + after
        noise = self._noise(level, middle_s) * np.sqrt(before * after / span)
        middle = value[:-1] + before / span * np.diff(value) + self._sigma * noise
        both = np.empty(2 * len(value) - 1)
        both[::2], both[1::2] = value, middle
        times = np.empty_like(both)
        times[::2], times[1::2] = at, at_middle
        return both, times

    def _noise(self, level: int, at_s: I64) -> F64:
        """Return the displacements of the points of one level, in units of their standard deviation."""
        bits = mix(self._seed + 64 + level, at_s >> level)
        if level >= _LOCAL_LEVELS:
            return normal(bits)
        cells = self.cluster(int(at_s[0]), int(at_s[-1]))
        factor = cells[(at_s >> _CLUSTER_SHIFT) - (int(at_s[0]) >> _CLUSTER_SHIFT)] * _SWINGS.get(level, 1.0)
        return np.asarray(factor * with_jumps(bits), dtype=np.float64)

    def values(self, first_s: int, last_s: int, level: int = 0) -> F64:
        """Return the walk at every multiple of 2**level seconds from the one at or before first_s to last_s."""
        left, right = first_s >> _TOP, (last_s >> _TOP) + 1
        index = np.arange(left, right + 1, dtype=np.int64)
        value = self._spread * normal(mix(self._seed, index)).clip(-2, 2)
        at = self.business(index << _TOP)
        for step in range(_TOP - 1, level - 1, -1):
            value, at = self._halve(step, left, value, at)
            begin, end = first_s >> step, (last_s >> step) + 1
            value, at = value[begin - 2 * left : end + 1 - 2 * left], at[begin - 2 * left : end + 1 - 2 * left]
            left = begin
        return np.asarray(value[: (last_s >> level) - left + 1])
