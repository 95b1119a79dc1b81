"""One collection cycle: ask for every symbol that is due, publish what comes, end with the clock.

Live, replies are committed as they arrive and the clock goes out on time whatever is still outstanding. Stepped (by
the simulator), the cycle waits for all of its calls and commits everything in one transaction per partition, in the
symbols' order: a run gives the same stream each time.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from collector.choose import batches, choose
from collector.pacer import Tick
from collector.publish import Publisher
from collector.source import Answer, Source, read_views
from collector.statuses import Statuses
from collector.times import StreamTime
from collector.vendors.base import Ask
from common.breaker import Admission
from common.clock import monotonic_s
from common.messages import Clock
from common.metrics import Metrics
from common.redis_link import Link
from common.sessions import is_open, next_open_ms
from common.symbols import Listing, SymbolTable

log = structlog.get_logger()

# The share of the interval after which the clock goes out, whatever is outstanding.
CLOCK_DUE = 0.8
QUIET_CYCLES = 60
# A symbol counts as served for so long, or for two turns of a source that may be asked less often.
SERVED_MS = 60_000


@dataclass(frozen=True)
class Scope:
    """What a cycle is about."""

    table: SymbolTable
    symbols: tuple[str, ...]
    """Those of the partitions served here, in the table's order."""
    interval_s: float
    delays: bool
    """Sources are as late as their contract says (not with unlimited plans)."""


class Cycles:
    """Runs cycle after cycle."""

    def __init__(
        self, scope: Scope, sources: Mapping[str, Source], publisher: Publisher, link: Link, metrics: Metrics,
        time: StreamTime, wall_ms: Callable[[], int],
    ) -> None:  # fmt: skip
        self._scope, self._sources, self._publisher, self._link = scope, sources, publisher, link
        self._metrics, self._time, self._wall_ms = metrics, time, wall_ms
        self.statuses = Statuses(scope.table)
        self._listings = {s: scope.table.symbols[s].feed() for s in scope.symbols}
        self._in_flight: set[str] = set()
        self._tasks: set[asyncio.Task[list[Answer]]] = set()
        self._verdicts: Counter[str] = Counter()
        self._new_quotes = 0
        self._last_problems: object = None
        self.last_cycle = 0

    # -- the cycle ---------------------------------------------------------------------------------

    async def run(self, tick: Tick) -> None:
        """Run one cycle and commit its end."""
        started_s = monotonic_s()
        self._time.advance(tick.now_ms)
        self._verdicts.clear()
        self._new_quotes = 0
        due = self._due()
        if tick.stepped:
            answers = await self._serve(due, {}, publish=False)
        else:
            answers = []
            await self._collect(due, started_s)
        now_ms = tick.now_ms if tick.stepped else self._time.now_ms()
        clock = Clock(cycle=tick.cycle, now_ms=now_ms, wall_ms=self._wall_ms(), speed=tick.speed)
        self._new_quotes += self._publisher.end_cycle(clock, answers, self.statuses.all())
        self.last_cycle = tick.cycle
        self._report(tick, len(due), monotonic_s() - started_s)

    async def abandon(self) -> None:
        """Give up what is outstanding."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._in_flight.clear()

    async def _collect(self, due: Sequence[str], started_s: float) -> None:
        """Start to ask, and wait until everything has ended or the clock is due."""
        if due:
            self._in_flight |= set(due)
            self._tasks.add(asyncio.create_task(self._serve(due, {}, publish=True)))
        left_s = self._scope.interval_s * CLOCK_DUE - (monotonic_s() - started_s)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, left_s))
        self._settle()

    def _settle(self) -> None:
        """Drop the tasks that have ended; what one of them raised comes out here."""
        done = {task for task in self._tasks if task.done()}
        self._tasks -= done
        for task in done:
            task.result()

    def _due(self) -> list[str]:
        """Return the symbols whose market is open and that are not being asked for already."""
        due: list[str] = []
        now_ms = self._time.now_ms()
        for symbol in self._scope.symbols:
            session = self._scope.table.session_of(symbol)
            if not self._open(symbol, session, now_ms):
                self.statuses.closed(symbol, next_open_ms(session, now_ms), now_ms)
            elif symbol not in self._in_flight:
                due.append(symbol)
        return due

    def _open(self, symbol: str, session: str, now_ms: int) -> bool:
        # A source that is ten minutes late still brings the session's end when it has closed.
        late_ms = max(listing.delay_s for listing in self._listings[symbol]) * 1000 if self._scope.delays else 0
        return is_open(session, now_ms) or is_open(session, now_ms - late_ms)

    # -- asking ------------------------------------------------------------------------------------

    async def _serve(
        self, symbols: Sequence[str], tried: Mapping[str, frozenset[str]], *, publish: bool
    ) -> list[Answer]:
        """Ask the best source for each symbol, and at once the next one where that fails. Replies in asking order."""
        now_ms = self._time.now_ms()
        wanted: dict[str, Sequence[Listing]] = {s: self._listings[s] for s in symbols}
        choice = choose(wanted, read_views(self._sources, self._link, now_ms), tried, now_ms)
        for symbol, why in choice.withheld.items():
            self.statuses.withheld(symbol, why, now_ms)
        for symbol, listing in choice.waiting.items():
            patience_ms = max(SERVED_MS, 2 * self._sources[listing.vendor].quota.plan.spacing_ms)
            self.statuses.waiting(symbol, listing.vendor, patience_ms, now_ms)
        self._in_flight -= choice.withheld.keys() | choice.waiting.keys()
        groups = [self._ask_source(self._sources[name], asks, tried, publish=publish) for name, asks in choice.groups]
        return [answer for answers in await _all(groups) for answer in answers]

    async def _ask_source(
        self, source: Source, asks: Sequence[Ask], tried: Mapping[str, frozenset[str]], *, publish: bool
    ) -> list[Answer]:
        """Ask one source in as many calls as it needs, side by side; a probe goes first, alone."""
        answers: list[Answer] = []
        calls: list[Awaitable[list[Answer]]] = []
        for batch in batches(asks, source.vendor.batch):
            admission = source.admit()
            call = self._ask(source, batch, admission, tried, publish=publish)
            if admission.is_probe:
                answers += await call
            else:
                calls.append(call)
        return [*answers, *(answer for found in await _all(calls) for answer in found)]

    async def _ask(
        self, source: Source, batch: tuple[Ask, ...], admission: Admission, tried: Mapping[str, frozenset[str]], *,
        publish: bool,
    ) -> list[Answer]:  # fmt: skip
        answer = await source.latest(batch, admission)
        self._verdicts[f"{source.name}:{answer.verdict or 'not_asked'}"] += 1
        served = [ask.symbol for ask in batch if ask.symbol not in answer.failed]
        for symbol in served:
            self.statuses.served(symbol, source.name, self._time.now_ms())
        if publish and served:
            self._new_quotes += self._publisher.publish(answer)
        self._in_flight -= set(served)
        if not answer.failed:
            return [answer]
        more_tried = {s: tried.get(s, frozenset()) | {source.name} for s in answer.failed}
        return [answer, *await self._serve(answer.failed, more_tried, publish=publish)]

    # -- telling -----------------------------------------------------------------------------------

    def _report(self, tick: Tick, asked: int, took_s: float) -> None:
        self._metrics.count("md_cycles_total")
        self._metrics.observe("md_cycle_seconds", took_s)
        if tick.skipped:
            self._metrics.count("md_cycle_overruns_total", tick.skipped)
        problems = (frozenset(v for v in self._verdicts if not v.endswith(":ok")), tick.skipped)
        eventful = problems != self._last_problems or tick.cycle % QUIET_CYCLES == 0
        self._last_problems = problems
        say = log.info if eventful else log.debug
        say(
            "Collection cycle", cycle=tick.cycle, now_ms=tick.now_ms, symbols=asked, new_quotes=self._new_quotes,
            took_ms=round(took_s * 1000, 1), calls=dict(self._verdicts), outstanding=len(self._in_flight),
            skipped=tick.skipped,
        )  # fmt: skip


async def _all(work: Sequence[Awaitable[list[Answer]]]) -> list[list[Answer]]:
    """Return all results in order. The first error cancels the rest."""
    tasks = [asyncio.ensure_future(w) for w in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
