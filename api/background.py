"""What the api does beside answering: heartbeat, sending reports on, watching positions, trimming its streams."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import structlog

from api.context import STAGE, Context
from api.errors import ApiError
from api.operator_metrics import DATA_POINTS, counted
from api.past import take_up_past
from api.position_watch import Watch
from api.publisher import STREAMS, Publisher
from common import keys
from common.clock import monotonic_s
from common.errors import PipelineError, Retryable
from common.heartbeat import Heartbeat
from common.housekeeping import trim
from common.redis_link import Command, open_link
from common.sessions import is_open
from common.settings import Settings

log = structlog.get_logger()

TICK_S = 1.0
TRIM_EVERY_S = 10.0
DAY_MS = 86_400_000
EQUITY_EVERY_MS = 60_000


async def run(context: Context) -> None:
    """Do all of it until cancelled. What fails is tried again; nothing here stops the answers."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_every(0.0, "publisher", partial(_send, context.ledger.arrived, context.publisher)))
        group.create_task(_every(0.0, "ticks", partial(_send, context.ticks.arrived, context.tick_publisher)))
        periodic = _periodic(context)
        for number, (name, work) in enumerate(periodic.items()):
            # One after the other through the second: a request must not find all of them before it.
            after_s = number * TICK_S / len(periodic)
            group.create_task(_every(TICK_S, name, work, after_s))
        for partition in range(context.live.partitions):
            group.create_task(_every(0.0, "live", partial(context.live.read, partition)))
        group.create_task(_every(TRIM_EVERY_S, "housekeeping", partial(keep_house, context), after_s=TRIM_EVERY_S))


def _periodic(context: Context) -> dict[str, Callable[[], Awaitable[None]]]:
    """Return what is done every second, by name."""
    return {
        "heartbeat": _Beat(context).beat,
        "positions": partial(Watch().look, context),
        "equity": _EquityObserver(context).observe,
        "past": partial(take_up_past, context),
        "account": partial(_save_account, context),
        "sessions": partial(prepare_sessions, context),
    }


async def prepare_sessions(context: Context) -> None:
    """Have the sessions of today and tomorrow ready: the first question about a year takes a while."""
    wall_ms = context.wall_ms()
    moments = [wall_ms, wall_ms + DAY_MS]
    try:
        stream_ms = (await context.state.now(wall_ms)).stream_ms
    except Retryable:
        stream_ms = None
    if stream_ms is not None:
        moments += [stream_ms, stream_ms + DAY_MS]
    await asyncio.to_thread(_look_up, context.sessions, moments)


def _look_up(sessions: Iterable[str], moments: Iterable[int]) -> None:
    for at_ms in moments:
        for session in sessions:
            is_open(session, at_ms)


class _Beat:
    """Writes this process's heartbeat, and notes how fast data comes in."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: list[Command] = []
        self._heartbeat = Heartbeat(self._keep, STAGE, context.instance, context.metrics)

    async def beat(self) -> None:
        context = self._context
        self._waiting.clear()
        trouble = context.trouble
        if self._heartbeat.beat(context.wall_ms(), "degraded" if trouble else "ok", trouble):
            await context.pool.exchange(self._waiting)
        context.rate.note(context.wall_ms(), counted(await context.self_reports.pulses(), "collector", DATA_POINTS))

    def _keep(self, key: str, value: bytes) -> None:
        self._waiting.append(("SET", key, value))


async def _save_account(context: Context) -> None:
    """Keep the account's state, and tell the history of limits that were reached since the last look."""
    await context.memory.recall()
    await context.memory.keep(context.wall_ms())
    state = context.account.state
    while state is not None and context.account.reached:
        reason = context.account.reached[0]
        until_ms = state.blocked.get(reason, 0)
        await context.ledger.limit_reached(reason, until_ms, state.equity, state.seen_ms, context.wall_ms())
        context.account.reached.pop(0)


async def keep_house(context: Context) -> None:
    """Forget old reports, and trim the streams that the api writes."""
    await context.ledger.forget(context.wall_ms())
    await context.ticks.forget(context.wall_ms())
    async with context.pool.lent():
        await asyncio.to_thread(_trim, context.settings)


def _trim(settings: Settings) -> None:
    link = open_link(settings)
    try:
        for partition in range(settings.stream_partitions):
            trim(link, (*STREAMS, keys.TICKS), partition, settings.stream_budget)
    finally:
        link.close()


async def _send(arrived: asyncio.Event, publisher: Publisher) -> None:
    """Publish as soon as something arrives, and look each second whether Redis was away."""
    try:
        async with asyncio.timeout(TICK_S):
            await arrived.wait()
    except TimeoutError:
        pass
    arrived.clear()
    try:
        await publisher.publish()
    except Retryable:
        arrived.set()
        raise


async def _every(seconds: float, name: str, work: Callable[[], Awaitable[None]], after_s: float = 0.0) -> None:
    """Call `work` at this interval, first after so long. A failure is logged once until it works again."""
    await asyncio.sleep(after_s)
    failing = False
    while True:
        started_s = monotonic_s()
        try:
            await work()
            failing = False
        except (PipelineError, ApiError) as e:  # even what is fatal for this task is not for the answers
            if not failing:
                log.warning("background.waiting", task=name, error=str(e))
            failing = True
            await asyncio.sleep(TICK_S / 4)
        await asyncio.sleep(max(0.0, seconds - (monotonic_s() - started_s)))


class _EquityObserver:
    """Records the equity that polls carry, when it has changed, at most once a minute."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._last: tuple[int, float] | None = None

    async def observe(self) -> None:
        equity, wall_ms = self._context.sightings.equity, self._context.wall_ms()
        if equity is None:
            return
        if self._last is not None and (self._last[1] == equity or wall_ms - self._last[0] < EQUITY_EVERY_MS):
            return
        now = await self._context.state.now(wall_ms)
        await self._context.ledger.observe_equity(equity, now.stream_ms or wall_ms, wall_ms)
        self._last = (wall_ms, equity)
