"""Bars of every odd shape, and lanes for them."""

import random

from hypothesis import Phase

from common.indicators import Plan, SessionClock
from common.messages import Bar
from features.builder import Forming
from features.lane import Lane, LaneSetup
from tests.features.support import MONDAY_MS, bar

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""A seed is no simpler for being small, and looking for a small one would take minutes."""
MINUTE = 60_000
HOUR = 60 * MINUTE


def new_lane(plan: Plan, max_bars: int, anchor_bars: int, session_ms: int) -> Lane:
    clock = SessionClock(lambda at_ms: at_ms // session_ms * session_ms + session_ms)
    return Lane(LaneSetup("EURUSD", "1m", MINUTE, max_bars, anchor_bars, plan.program("EURUSD", "1m")), clock)


def forming(b: Bar) -> Forming:
    return Forming(
        b.open_ms, b.open, b.high, b.low, b.close, b.volume, b.volume_kind, 1, b.open_ms, b.open_ms, b.source, 1.0
    )


def made(
    seed: int, count: int, shape: str = "walk", scale: float = 1.0, flat: float = 0.3, quiet: float = 0.3
) -> list[Bar]:
    """Bars with holes in time. flat: how many have no range; quiet: how many have no volume."""
    rng, bars, price = random.Random(seed), [], 1.0
    open_ms = MONDAY_MS + rng.randrange(2_000) * MINUTE
    for _ in range(count):
        before, price = price, _next(shape, price, rng)
        top, bottom = max(before, price), min(before, price)
        opened = before
        if rng.random() < flat:
            opened = top = bottom = price
        elif rng.random() < 0.7:
            top, bottom = top * (1.0 + rng.random() * 1e-3), bottom * (1.0 - rng.random() * 1e-3)
        prices = {"open": opened * scale, "high": top * scale, "low": bottom * scale}
        volume = 0.0 if rng.random() < quiet else float(rng.randrange(1, 1_000))
        bars.append(bar(open_ms, price * scale, **prices, volume=volume, volume_kind="traded"))
        open_ms += rng.choice([1] * 12 + [2, 17, 90]) * MINUTE
    return bars


def _next(shape: str, price: float, rng: random.Random) -> float:
    match shape:
        case "flat":
            return price
        case "rising":
            return price * (1.0 + rng.random() * 1e-3)
        case "falling":
            return price * (1.0 - rng.random() * 1e-3)
        case "grid":
            return rng.choice((0.99, 1.0, 1.0, 1.01))
        case "jumps" if rng.random() < 0.1:
            return price * rng.choice((0.7, 1.5))
        case _:
            return price * (1.0 + rng.gauss(0.0, 1e-3))
