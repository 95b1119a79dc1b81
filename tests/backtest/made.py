"""A made market as a file's bars, and settings of few bars."""

from collections.abc import Sequence
from dataclasses import replace

from backtest.feed import Setting, setting_of
from backtest.history import FileBar, History
from common.settings import Settings
from common.strategies import Strategy
from tests.features.support import MONDAY_MS, random_walk

MINUTE = 60_000


def settings(**changes: object) -> Settings:
    """The timeframes that the made bars are for."""
    given = {"symbols": ("EURUSD",), "timeframes": ("1m", "5m"), "max_bars_cache": 1_000, "anchor_bars": 100}
    return Settings(_env_file=None, **(given | {"limits": "none"} | changes))  # type: ignore[call-arg, arg-type]


def walk(seed: int, count: int, step: float = 0.0002) -> tuple[FileBar, ...]:
    """Minutes of a seeded walk without any drift or memory: no rule can have an edge on it."""
    prices = [round(price, 5) for price in random_walk(seed, 4 * count, step=step)]
    bars = []
    for n in range(count):
        four = prices[4 * n : 4 * n + 4]
        bars.append(FileBar(MONDAY_MS + n * MINUTE, four[0], max(four), min(four), four[3], 1.0))
    return tuple(bars)


def history(bars: Sequence[FileBar]) -> History:
    return History("EURUSD_M1.csv", "EURUSD", MINUTE, tuple(bars))


def setting(bars: Sequence[FileBar], *strategies: Strategy, spread_ticks: float = 0.0) -> Setting:
    """The engine for these bars; with these strategies instead of the project's, if there are any."""
    found = setting_of(history(bars), settings(), spread_ticks)
    return replace(found, rules=replace(found.rules, strategies=strategies)) if strategies else found
