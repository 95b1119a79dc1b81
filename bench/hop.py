"""A message through one stage: our loop (one transaction, fenced) against a bare redis-py loop, command by command."""

import statistics
import time
from typing import cast

import redis

from bench.processes import running, wait_until
from bench.row import Row
from bench.valkey import valkey
from common.keys import FIELD, QUOTES, RAW
from common.messages import Clock, encode

ROUNDS = 5
WITHIN_S = 60.0
HOPS = 300  # a round, at low load
BURST = 5_000  # entries that wait when the stage comes to them


def run() -> list[Row]:
    """Return the hop's median latency and the rate at saturation."""
    with valkey() as settings:
        client = redis.Redis(host=settings.redis_host, port=settings.redis_port, protocol=2)
        measured = {}
        for kind in ("ours", "peer"):
            client.flushall()
            with running("bench.hop_process", kind, str(settings.redis_port), str(settings.state_dir)):
                _hops(client, 20)
                latencies = [_hops(client, HOPS) for _ in range(ROUNDS)]
                rates = [_burst(client) for _ in range(ROUNDS)]
            measured[kind] = latencies, rates
        client.close()
    ours, peer = measured["ours"], measured["peer"]
    name = "redis-py: XREADGROUP, XADD, XACK one by one"
    return [Row("hop, p50", "ms", ours[0], name, peer[0]), Row("saturated", "entries/s", ours[1], name, peer[1])]


def _hops(client: redis.Redis, count: int) -> float:
    """Return the median time in ms from adding an entry to reading what the stage made of it."""
    body = encode(Clock(cycle=1, now_ms=1_700_000_000_000, wall_ms=1_700_000_000_000))
    times = []
    for _ in range(count):
        last = _newest(client)
        began = time.perf_counter()
        client.xadd(RAW.key(0), {FIELD: body})
        wait_until(lambda: bool(client.xread({QUOTES.key(0): last}, block=1000)), WITHIN_S)  # noqa: B023  # used at once
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def _burst(client: redis.Redis) -> float:
    """Return the entries per second while the stage works off a burst."""
    body = encode(Clock(cycle=1, now_ms=1_700_000_000_000, wall_ms=1_700_000_000_000))
    expected = _count(client) + BURST
    with client.pipeline(transaction=True) as pipeline:
        for _ in range(BURST):
            pipeline.xadd(RAW.key(0), {FIELD: body})
        pipeline.execute()
    began = time.perf_counter()
    wait_until(lambda: _count(client) >= expected, WITHIN_S, pause_s=0.001)
    return BURST / (time.perf_counter() - began)


def _newest(client: redis.Redis) -> bytes:
    newest = cast(list[tuple[bytes, object]], client.xrevrange(QUOTES.key(0), count=1))
    return newest[0][0] if newest else b"0"


def _count(client: redis.Redis) -> int:
    """Return how many entries the stage ever published."""
    return int(client.xinfo_stream(QUOTES.key(0))["entries-added"])
