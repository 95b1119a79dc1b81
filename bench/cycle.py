"""A collection cycle of six symbols: our own time, without what the vendors take to answer."""

import asyncio
import logging
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from selectors import BaseSelector
from typing import Literal, cast

import httpx
import msgspec
import structlog

from bench.processes import STARTS_WITHIN_S, listens, running, wait_until
from bench.row import Row
from bench.valkey import free_port, valkey
from collector.pacer import Tick
from collector.runtime import Collector
from collector.vendors import STREAMS, VENDORS
from common.settings import Settings

SYMBOLS = ("NAS100", "XAUUSD", "EURUSD", "GBPUSD", "US30", "US500")
AT_VENDOR = ("NQ=F", "GC=F", "EURUSD=X", "GBPUSD=X", "YM=F", "ES=F")
ROUNDS, CYCLES, WARM_UP = 5, 60, 20
PEER = "httpx: six charts one after the other"


def run() -> list[Row]:
    """Return the busy time of a cycle in ms, polled and pushed, beside six plain requests to the same simulator."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with _simulator() as url:
        peer = asyncio.run(_requests(url))
    measured = {}
    for push in ("off", "on"):
        with valkey() as settings, _simulator() as url:
            measured[push] = asyncio.run(_cycles(_given(settings, url, push)))
    return [
        Row("six symbols polled", "ms", measured["off"], PEER, peer),
        Row("six symbols pushed", "ms", measured["on"], PEER, peer),
    ]


def _given(settings: Settings, url: str, push: Literal["on", "off"]) -> Settings:
    return settings.model_copy(update={"simulator_url": url, "limits": "none", "push": push, "symbols": SYMBOLS})


class Busy:
    """How long this thread has worked: the time that has passed less what the loop has slept."""

    def __init__(self) -> None:
        self._asleep_s = 0.0
        selector = cast(BaseSelector, asyncio.get_running_loop()._selector)  # type: ignore[attr-defined]  # noqa: SLF001
        select = selector.select

        def timed(timeout: float | None = None) -> object:
            began_s = time.perf_counter()
            try:
                return select(timeout)
            finally:
                self._asleep_s += time.perf_counter() - began_s

        selector.select = timed  # type: ignore[method-assign,assignment]

    def seconds(self) -> float:
        """Return the time worked so far."""
        return time.perf_counter() - self._asleep_s


async def _cycles(settings: Settings) -> list[float]:
    """Return the ms of a cycle, in each round. The pace that the simulator gives is no part of one."""
    collector = Collector(settings, VENDORS, streams=STREAMS)
    busy, took_ms = Busy(), list[float]()
    run_cycle = collector._cycles.run  # noqa: SLF001

    async def timed(tick: Tick) -> None:
        before_s = busy.seconds()
        await run_cycle(tick)
        took_ms.append((busy.seconds() - before_s) * 1000)

    collector._cycles.run = timed  # type: ignore[method-assign]  # noqa: SLF001
    working = asyncio.create_task(collector.run())
    while len(took_ms) < WARM_UP + ROUNDS * CYCLES:  # noqa: ASYNC110  # it stands in a plain list
        await asyncio.sleep(0.01)
    collector.stop()
    await working
    rounds = (took_ms[WARM_UP + n * CYCLES :][:CYCLES] for n in range(ROUNDS))
    return [statistics.median(cycles) for cycles in rounds]


async def _requests(url: str) -> list[float]:
    async with httpx.AsyncClient() as client:

        async def six() -> None:
            for symbol in AT_VENDOR:
                reply = await client.get(
                    f"{url}/yahoo/v8/finance/chart/{symbol}",
                    params={"interval": "1m", "range": "1d"},
                    headers={"user-agent": "Mozilla/5.0"},
                )
                msgspec.json.decode(reply.raise_for_status().content)

        busy, took_ms = Busy(), []
        for _ in range(WARM_UP + ROUNDS * CYCLES):
            before_s = busy.seconds()
            await six()
            took_ms.append((busy.seconds() - before_s) * 1000)
    return [statistics.median(took_ms[WARM_UP + n * CYCLES :][:CYCLES]) for n in range(ROUNDS)]


@contextmanager
def _simulator() -> Iterator[str]:
    url = f"http://127.0.0.1:{(port := free_port())}"
    with running("simulator", "--port", str(port), "--speed", "0"):
        wait_until(lambda: listens(port), STARTS_WITHIN_S, pause_s=0.05)
        yield url
