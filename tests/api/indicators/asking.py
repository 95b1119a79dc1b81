"""What the tests of indicators' histories share: what they put into Redis, ask for and compare."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import httpx
import numpy as np

from api.context import Context
from common import keys
from common.bars import pack, unpack
from common.messages import Bar
from tests.api.world import World
from tests.features.support import Store, bar
from tests.features.test_lane import window_start

Api = tuple[httpx.AsyncClient, Context]
Reply = dict[str, Any]
Line = list[dict[str, float]]
MINUTE_MS = 60_000
MAX_BARS, ANCHOR_BARS = 2_600, 130
ROLL_MS = 22 * 3_600_000  # 17:00 in New York in winter: where a session of foreign exchange ends
MORE = """
rsi_14_ema_9 = { function = "EMA", timeperiod = 9, input = "rsi_14" }
obv_sma_5 = { function = "SMA", timeperiod = 5, input = "obv" }
running_momentum = { function = "CUMSUM", input = "momentum" }
pivots = { function = "PIVOT_CLASSIC" }
pivot_average = { function = "SMA", timeperiod = 3, input = "pivots_pivot" }
session_range = { function = "SESSION_RANGE", outputs = ["begun_at", "high_of_it", "low_of_it", "or_high", "or_low"] }
cloud = { function = "ICHIMOKU" }
hurst_64 = { function = "HURST", timeperiod = 64 }
accumulation = { function = "AD" }
place_of_high = { function = "MAXINDEX" }
beta_to_us500 = { function = "BETA", timeperiod = 5, inputs = ["US500:close", "close"], symbols = ["NAS100"] }
only_hourly = { function = "RSI", timeperiod = 4, timeframes = ["1h"] }
"""


def put(world: World, store: Store) -> None:
    """Have the engine's bars and values in Redis."""
    for key in (keys.bar_cache(0, "EURUSD", "1m"), keys.feature_values(0, "EURUSD", "1m")):
        value = store.keys[key]
        world.redis.rpush(key, *value) if isinstance(value, list) else world.redis.set(key, value)


def cache(world: World, bars: Sequence[Bar], symbol: str = "EURUSD", timeframe: str = "1m") -> None:
    world.redis.rpush(keys.bar_cache(0, symbol, timeframe), *(pack(one) for one in bars))


def some(count: int, volume: float = 0.0, **changes: Any) -> list[Bar]:
    """Bars of a Monday's first minutes, each higher than the one before."""
    kind = "traded" if volume else "none"
    start_ms = 1_642_377_600_000
    return [bar(start_ms + n * MINUTE_MS, 1.0 + n, volume=volume, volume_kind=kind, **changes) for n in range(count)]


async def ask(api: Api, query: str, symbol: str = "EURUSD") -> Reply:
    reply = await api[0].get(f"/api/indicators/{symbol}?{query}")
    assert reply.status_code == 200, reply.text
    found: Reply = reply.json()
    return found


async def lines(api: Api, names: str, limit: int = MAX_BARS, symbol: str = "EURUSD") -> dict[str, Line]:
    """All lines of the reply by their names."""
    reply = await ask(api, f"name={names}&limit={limit}", symbol)
    return {name: line for one in reply["indicators"] for name, line in one["lines"].items()}


def values(line: Line) -> list[float]:
    return [point.get("value", np.nan) for point in line]


def window(store: Store) -> np.ndarray:
    """The stored bars in the lane's window, by the rule in words."""
    stored = unpack(store.keys[keys.bar_cache(0, "EURUSD", "1m")])
    return stored[window_start(stored["open_ms"].tolist(), MAX_BARS, ANCHOR_BARS) :]


def column(bars: np.ndarray, name: str) -> np.ndarray:
    return np.ascontiguousarray(bars[name])


def sessions(bars: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where each session begins and ends. A bar belongs to the one that its last millisecond falls into."""
    days = (bars["open_ms"] + MINUTE_MS - 1 - ROLL_MS) // 86_400_000
    for _, members in groupby(range(len(bars)), key=lambda place: int(days[place])):
        places = list(members)
        yield places[0], places[-1] + 1
