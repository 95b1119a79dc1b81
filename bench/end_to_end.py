"""From a quote in `raw` to its values in Redis and at the bot: validator, features and api as real processes."""

import http.client
import json
import statistics
import time
from collections.abc import Callable
from typing import cast

from bench.processes import stages, took_ms, wait_until
from bench.row import Row
from bench.valkey import free_port, valkey
from common import keys
from common.keys import FIELD, RAW
from common.messages import Clock, RawQuote, RawQuotes, encode
from common.redis_link import Command, Link, open_link

STAGES = ("validator", "features", "api")
QUOTES = 300
ROUNDS = 5
START_MS = 1_781_101_800_000  # a Wednesday afternoon: every session is open
SYMBOLS = {
    "NAS100": ("cme_nq_future", 21_165.5),
    "XAUUSD": ("comex_gold_future", 2_708.4),
    "EURUSD": ("fx_spot", 1.085),
}


def run() -> list[Row]:
    """Return the way of a quote, and the api's answer, each beside a bare round trip to Redis in the same run."""
    port = free_port()
    with (
        valkey() as settings,
        stages(STAGES, settings, {"SYMBOLS": ",".join(SYMBOLS), "SIMULATOR_URL": "http://127.0.0.1:9"}, port),
    ):
        link = open_link(settings)
        player = Player(link)
        player.cycle(waiting=True)
        for _ in range(50):
            player.cycle()
        way = [_median(player.cycle) for _ in range(ROUNDS)]
        trip = [_median(lambda: took_ms(lambda: link.call("PING"))) for _ in range(ROUNDS)]
        connection = http.client.HTTPConnection("127.0.0.1", port)
        answer = [_median(lambda: took_ms(lambda: _ask(connection))) for _ in range(ROUNDS)]
        connection.close()
    bare = "one bare Redis round trip"
    return [
        Row("quote in raw -> values in Redis, p50", "ms", way, bare, trip),
        Row("GET /api/signals, p50", "ms", answer, bare, trip),
    ]


class Player:
    """Plays cycles of one second: a quote of each symbol, then the clock."""

    def __init__(self, link: Link) -> None:
        self._link, self._cycle = link, 0

    def cycle(self, waiting: bool = False) -> float:
        """Publish one cycle and return the ms until the engine's values of its last quote can be read."""
        self._cycle += 1
        now_ms = START_MS + self._cycle * 1_000
        wave = self._cycle % 7 / 10_000
        quotes = tuple(
            RawQuote(symbol, cls, market_ms=now_ms - 200, last=price * (1 + wave))
            for symbol, (cls, price) in SYMBOLS.items()
        )
        clock = encode(Clock(self._cycle, now_ms, int(time.time() * 1000)))
        commands: list[Command] = [
            ("XADD", RAW.key(0), "*", FIELD, encode(RawQuotes("yahoo", now_ms, quotes))),
            ("XADD", RAW.key(0), "*", FIELD, clock),
            ("SET", keys.clock(0), clock),
        ]
        began = time.perf_counter()
        self._link.exchange(commands)
        wait_until(lambda: self._passed() >= self._cycle, 60 if waiting else 5)
        return (time.perf_counter() - began) * 1000

    def _passed(self) -> int:
        return int(cast(bytes | None, self._link.call("HGET", keys.feature_pass(0), "cycle")) or 0)


def _ask(connection: http.client.HTTPConnection) -> object:
    connection.request("GET", "/api/signals?equity=1000.00")
    return json.loads(connection.getresponse().read())


def _median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(QUOTES))
