"""What the tests of the features stage share: quotes, clock entries, a seeded market, and a Redis in a dict."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from common import keys
from common.messages import Bar, Clock, HistoryBars, Quote, Quotes, Timeframe, VolumeKind
from common.metrics import Metrics
from common.redis_link import Command, Reply
from common.settings import Settings
from common.stage import Entry, Outcome
from common.symbols import load_symbols
from features.stage import FeaturesHandler

NO_STRATEGIES = Path(__file__).with_name("no_strategies.toml")
"""For plans that lack what the project's strategies name."""
LONG_S = 60.0
"""A pass that puts nothing off, however busy the machine is."""
MONDAY_MS = 1_642_377_600_000  # 2022-01-17 00:00 UTC
SIX = ("NAS100", "XAUUSD", "EURUSD", "GBPUSD", "US30", "US500")
SERIES = {
    "NAS100": "cme_nq_future",
    "XAUUSD": "comex_gold_future",
    "EURUSD": "fx_spot",
    "GBPUSD": "fx_spot",
    "US30": "cbot_ym_future",
    "US500": "cme_es_future",
}


def quote(
    symbol: str,
    market_ms: int,
    price: float,
    *,
    volume: float = 0.0,
    kind: VolumeKind = "none",
    source: str = "yahoo",
    source_class: str | None = None,
    score: float = 1.0,
) -> Quote:
    """A quote of the symbol's own series."""
    return Quote(
        symbol=symbol, source=source, source_class=source_class or SERIES[symbol], market_ms=market_ms,
        received_ms=market_ms, price=price, raw_id="1-0", raw_index=0, volume=volume, volume_kind=kind, score=score,
    )  # fmt: skip


def bar(open_ms: int, close: float, **changes: Any) -> Bar:
    """A 1-minute EURUSD bar of a vendor's history."""
    given: dict[str, Any] = {
        "symbol": "EURUSD", "timeframe": "1m", "open_ms": open_ms, "open": close, "high": close, "low": close,
        "close": close, "volume": 0.0, "volume_kind": "none", "ticks": 0, "source": "twelvedata",
        "source_class": "fx_spot", "origin": "vendor",
    }  # fmt: skip
    return Bar(**(given | changes))


def history(
    bars: Sequence[Bar], request_id: str = "r", symbol: str = "EURUSD", timeframe: Timeframe = "1m"
) -> HistoryBars:
    """A vendor's or the storer's answer."""
    return HistoryBars(request_id, symbol, timeframe, SERIES[symbol], tuple(bars))


class Entries:
    """Numbers messages as entries of the quotes stream."""

    def __init__(self) -> None:
        self.made = 0

    def of(self, *messages: Quotes | Clock | HistoryBars) -> tuple[Entry, ...]:
        """Return the messages as entries."""
        found = []
        for message in messages:
            self.made += 1
            found.append(Entry(keys.QUOTES, f"{self.made}-0", message))
        return tuple(found)


def clock(now_ms: int, cycle: int = 1) -> Clock:
    """A clock entry; wall time is stream time."""
    return Clock(cycle=cycle, now_ms=now_ms, wall_ms=now_ms)


class Store:
    """The few Redis commands that the stage uses, on a dict; also the link that it restores from."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}

    def call(self, *command: str | bytes | int | float) -> Reply:
        """Execute one command."""
        name, *rest = command
        reply: Reply = getattr(self, str(name).lower())(*rest)
        return reply

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Execute commands in order."""
        return [self.call(*command) for command in commands]

    def raw_socket(self) -> None:
        """Have none."""

    def commit(self, outcome: Outcome) -> Outcome:
        """Execute an outcome's writes, and return it."""
        self.exchange(outcome.writes)
        return outcome

    def hgetall(self, key: str) -> list[bytes]:
        return [part for pair in self.keys.get(key, {}).items() for part in pair]

    def hset(self, key: str, *fields: str | bytes | int) -> int:
        found = self.keys.setdefault(key, {})
        found.update({_bytes(n): _bytes(v) for n, v in zip(fields[::2], fields[1::2], strict=True)})
        return 0

    def hdel(self, key: str, *fields: str) -> int:
        for name in fields:
            self.keys.get(key, {}).pop(_bytes(name), None)
        return 0

    def mset(self, *pairs: str | bytes) -> bytes:
        self.keys.update(dict(zip((str(key) for key in pairs[::2]), (_bytes(v) for v in pairs[1::2]), strict=True)))
        return b"OK"

    def set(self, key: str, value: bytes) -> bytes:
        self.keys[key] = _bytes(value)
        return b"OK"

    def delete(self, *names: str) -> int:
        for name in names:
            self.keys.pop(name, None)
        return 0

    def rpush(self, key: str, *values: bytes) -> int:
        self.keys.setdefault(key, []).extend(values)
        return 0

    def rpushx(self, key: str, *values: bytes) -> int:
        return self.rpush(key, *values) if self.keys.get(key) else 0

    def ltrim(self, key: str, first: int, last: int) -> bytes:
        assert (last, first < 0) == (-1, True)
        if key in self.keys:
            self.keys[key] = self.keys[key][first:]
        return b"OK"

    def lrange(self, key: str, first: int, last: int) -> list[bytes]:
        assert (last, first < 0) == (-1, True)
        return list(self.keys.get(key, [])[first:])


setattr(Store, "del", Store.delete)  # the command's name is a Python keyword


def _bytes(value: str | bytes | float) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def handler(
    store: Store, symbols: Iterable[str] = ("EURUSD",), *, pass_s: float = LONG_S, **settings: Any
) -> FeaturesHandler:
    """A handler that is restored from the store, with vendors' delays off unless the test sets limits."""
    names = tuple(symbols)
    given: dict[str, Any] = {"symbols": names, "limits": "none", "max_bars_cache": 1000, "anchor_bars": 100}
    if "indicators_file" in settings:
        given["strategies_file"] = NO_STRATEGIES
    made = Settings(_env_file=None, **(given | settings))  # type: ignore[call-arg]  # pydantic-settings' own argument
    found = FeaturesHandler(0, made, load_symbols(names), Metrics("features"), pass_s=pass_s)
    store.commit(found.restore(store))  # type: ignore[arg-type]  # the store stands in for a link
    return found


def random_walk(seed: int, count: int, price: float = 1.13, step: float = 0.0002) -> list[float]:
    """Prices of a seeded walk."""
    rng = random.Random(seed)
    prices = [price]
    for _ in range(count - 1):
        prices.append(prices[-1] * (1.0 + rng.gauss(0.0, step)))
    return prices
