"""A message through one stage: our loop (one transaction, fenced) against a bare redis-py loop, command by command."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import cast

import redis

from bench.row import Row
from bench.valkey import valkey
from common.keys import FIELD, QUOTES, RAW
from common.messages import Clock, encode
from common.settings import Settings

ROUNDS = 5
HOPS = 300  # a round, at low load
BURST = 5_000  # entries that wait when the stage comes to them


def run() -> list[Row]:
    """Return the hop's median latency and the rate at saturation."""
    with valkey() as settings:
        client = redis.Redis(host=settings.redis_host, port=settings.redis_port, protocol=2)
        measured = {}
        for kind in ("ours", "peer"):
            client.flushall()
            process = _start(kind, settings)
            try:
                _hops(client, 20)
                latencies = [_hops(client, HOPS) for _ in range(ROUNDS)]
                rates = [_burst(client) for _ in range(ROUNDS)]
            finally:
                process.kill()
                process.wait()
            measured[kind] = latencies, rates
        client.close()
    ours, peer = measured["ours"], measured["peer"]
    name = "redis-py: XREADGROUP, XADD, XACK one by one"
    return [Row("hop, p50", "ms", ours[0], name, peer[0]), Row("saturated", "entries/s", ours[1], name, peer[1])]


def _start(kind: str, settings: Settings) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "bench.hop_process", kind, str(settings.redis_port), str(settings.state_dir)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _hops(client: redis.Redis, count: int) -> float:
    """Return the median time in ms from adding an entry to reading what the stage made of it."""
    body = encode(Clock(cycle=1, now_ms=1_700_000_000_000, wall_ms=1_700_000_000_000))
    times = []
    for _ in range(count):
        last = _newest(client)
        began = time.perf_counter()
        client.xadd(RAW.key(0), {FIELD: body})
        _until(lambda: bool(client.xread({QUOTES.key(0): last}, block=1000)))  # noqa: B023  # used at once
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
    _until(lambda: _count(client) >= expected)
    return BURST / (time.perf_counter() - began)


def _newest(client: redis.Redis) -> bytes:
    newest = cast(list[tuple[bytes, object]], client.xrevrange(QUOTES.key(0), count=1))
    return newest[0][0] if newest else b"0"


def _count(client: redis.Redis) -> int:
    """Return how many entries the stage ever published."""
    return int(client.xinfo_stream(QUOTES.key(0))["entries-added"])


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the stage did not answer within 60 s")
        time.sleep(0.001)
