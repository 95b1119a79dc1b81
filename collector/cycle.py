"""One collection cycle: take what was pushed, ask for every other symbol that is due, end with the clock.

Live, replies are committed as they arrive and the clock goes out on time whatever is still outstanding. Stepped (by
the simulator), the cycle waits for all of its calls and commits everything in one transaction per partition, what was
pushed first, then the replies in the symbols' order: a run gives the same stream each time.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from collector.choose import Choice, Group, batches, choose
from collector.feeding import Feeding
from collector.limits import Purpose
from collector.news import News
from collector.pacer import Tick
from collector.publish import Publisher
from collector.push.outlet import Outlet
from collector.source import Means, Source, read_views
from collector.statuses import Statuses
from collector.times import StreamTime
from common.breaker import Admission
from common.clock import monotonic_s
from common.messages import Clock
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
        self, scope: Scope, sources: Mapping[str, Source], publisher: Publisher, means: Means, time: StreamTime,
        wall_ms: Callable[[], int], outlet: Outlet, feeding: Feeding,
    ) -> None:  # fmt: skip
        self._scope, self._sources, self._publisher, self._link = scope, sources, publisher, means.link
        self._metrics, self._time, self._wall_ms = means.metrics, time, wall_ms
        self._outlet, self._feeding = outlet, feeding
        self._live: Mapping[str, str] = {}
        """Symbol -> the source that pushes it freshly, in the cycle at hand."""
        self._lost: frozenset[str] = frozenset()
        """Symbols that were live a cycle ago."""
        self.statuses = Statuses(scope.table, feeding.class_of)
        self._in_flight: set[str] = set()
        self._in_check: set[str] = set()
        """Symbols whose pushed price is being checked; they may be asked for a price all the same."""
        self._tasks: set[asyncio.Task[list[News]]] = set()
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
        news: list[News] = []
        self._feeding.begin(self.statuses, self._time.now_ms())
        if tick.stepped:
            news += await self._outlet.step(tick.now_ms)
        due = self._due()
        if tick.stepped:
            news += await self._serve(due, {}, publish=False)
            news += await self._feeding.try_others(tick.now_ms)
        else:
            await self._collect(due, started_s)
            self._new_quotes += self._outlet.flush(checks=True)
        now_ms = tick.now_ms if tick.stepped else self._time.now_ms()
        clock = Clock(cycle=tick.cycle, now_ms=now_ms, wall_ms=self._wall_ms(), speed=tick.speed)
        self._new_quotes += self._publisher.end_cycle(clock, news, self.statuses.all(), self._feeding.writes)
        self.last_cycle = tick.cycle
        self._report(tick, len(due), monotonic_s() - started_s)

    async def abandon(self) -> None:
        """Give up what is outstanding."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._in_flight.clear()
        self._in_check.clear()

    async def _collect(self, due: Sequence[str], started_s: float) -> None:
        """Start to ask, and wait until everything has ended or the clock is due."""
        if due:
            self._tasks.add(asyncio.create_task(self._serve(due, {}, publish=True)))
        self._tasks.add(asyncio.create_task(self._try_others()))
        left_s = self._scope.interval_s * CLOCK_DUE - (monotonic_s() - started_s)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, left_s))
        self._settle()

    async def _try_others(self) -> list[News]:
        found = await self._feeding.try_others(self._time.now_ms())
        self._new_quotes += sum(self._publisher.publish(news) for news in found if news.quotes)
        return found

    def _settle(self) -> None:
        """Drop the tasks that have ended; what one of them raised comes out here."""
        done = {task for task in self._tasks if task.done()}
        self._tasks -= done
        for task in done:
            task.result()

    def _due(self) -> list[str]:
        """Return the symbols whose market is open and that are not being asked for already; see who is live."""
        opened: list[str] = []
        now_ms = self._time.now_ms()
        for symbol in self._scope.symbols:
            session = self._feeding.session_of(symbol)
            if not self._feeding.listings(symbol):
                continue  # the client's terminal feeds it
            if self._open(symbol, session, now_ms):
                opened.append(symbol)
            else:
                self.statuses.closed(symbol, next_open_ms(session, now_ms), now_ms)
        before, self._live = self._live, self._outlet.push.all_live(opened, now_ms)
        self._lost = frozenset(before.keys() - self._live.keys())
        for symbol, source in self._live.items():
            self.statuses.served(symbol, source, now_ms)
        for at in self._sources.values():
            at.budget.pushed = bool(self._live) and all(s in self._live for s in opened if s in at.listed)
        busy = {s for s in self._in_flight if s not in self._live} | (self._in_check & self._live.keys())
        return [symbol for symbol in opened if symbol not in busy]

    def _open(self, symbol: str, session: str, now_ms: int) -> bool:
        # A source that is ten minutes late still brings the session's end when it has closed.
        listings = self._feeding.listings(symbol)
        late_ms = max(listing.delay_s for listing in listings) * 1000 if self._scope.delays else 0
        return is_open(session, now_ms) or is_open(session, now_ms - late_ms)

    # -- asking ------------------------------------------------------------------------------------

    async def _serve(self, symbols: Sequence[str], tried: Mapping[str, frozenset[str]], *, publish: bool) -> list[News]:
        """Ask the best source for each symbol, and at once the next one where that fails. Replies in asking order."""
        now_ms = self._time.now_ms()
        wanted: dict[str, Sequence[Listing]] = {s: x for s in symbols if (x := self._feeding.listings(s))}
        views = read_views(self._sources, self._link, now_ms)
        choice = choose(wanted, views, tried, now_ms, self._live, self._lost)
        self._note(choice, now_ms)
        self._in_flight -= set(symbols)
        for group in choice.groups:
            under_way = self._in_check if group.purpose is Purpose.CHECK else self._in_flight
            under_way |= {ask.symbol for ask in group.asks}
        groups = [self._ask_source(group, tried, publish=publish) for group in choice.groups]
        return [news for found in await _all(groups) for news in found]

    def _note(self, choice: Choice, now_ms: int) -> None:
        for symbol, why in choice.withheld.items():
            self.statuses.withheld(symbol, why, now_ms)
        for symbol, listing in choice.waiting.items():
            patience_ms = max(SERVED_MS, 2 * self._sources[listing.vendor].budget.round_ms)
            self.statuses.waiting(symbol, listing.vendor, patience_ms, now_ms)

    async def _ask_source(self, group: Group, tried: Mapping[str, frozenset[str]], *, publish: bool) -> list[News]:
        """Ask one source in as many calls as it needs, side by side; a probe goes first, alone."""
        source = self._sources[group.source]
        found: list[News] = []
        calls: list[Awaitable[list[News]]] = []
        for batch in batches(group.asks, source.vendor.batch):
            admission = source.admit()
            call = self._ask(source, group._replace(asks=batch), admission, tried, publish=publish)
            if admission.is_probe:
                found += await call
            else:
                calls.append(call)
        return [*found, *(news for more in await _all(calls) for news in more)]

    async def _ask(
        self, source: Source, group: Group, admission: Admission, tried: Mapping[str, frozenset[str]], *, publish: bool
    ) -> list[News]:
        check = group.purpose is Purpose.CHECK
        answer = await source.latest(group.asks, admission, group.purpose)
        self._verdicts[f"{source.name}:{answer.verdict or 'not_asked'}"] += 1
        served = [ask.symbol for ask in group.asks if ask.symbol not in answer.failed]
        news = News(source.name, answer.received_ms, answer.quotes, check=check)
        if publish and served:
            self._new_quotes += self._publisher.publish(news)
        if check:
            self._in_check -= {ask.symbol for ask in group.asks}
            return [news]
        for ask in group.asks:
            if ask.symbol in served and ask.source_class == self._feeding.class_of(ask.symbol):
                self.statuses.served(ask.symbol, source.name, self._time.now_ms())
        self._in_flight -= set(served)
        if not answer.failed:
            return [news]
        more_tried = {s: tried.get(s, frozenset()) | {source.name} for s in answer.failed}
        return [news, *await self._serve(answer.failed, more_tried, publish=publish)]

    # -- telling -----------------------------------------------------------------------------------

    def _report(self, tick: Tick, asked: int, took_s: float) -> None:
        self._metrics.count("md_cycles_total")
        self._metrics.observe("md_cycle_seconds", took_s)
        if tick.skipped:
            self._metrics.count("md_cycle_overruns_total", tick.skipped)
        problems = (frozenset(v for v in self._verdicts if not v.endswith((":ok", ":unchanged"))), tick.skipped)
        eventful = problems != self._last_problems or tick.cycle % QUIET_CYCLES == 0
        self._last_problems = problems
        say = log.info if eventful else log.debug
        say(
            "Collection cycle", cycle=tick.cycle, now_ms=tick.now_ms, symbols=asked, new_quotes=self._new_quotes,
            took_ms=round(took_s * 1000, 1), calls=dict(self._verdicts), outstanding=len(self._in_flight),
            skipped=tick.skipped,
        )  # fmt: skip


async def _all(work: Sequence[Awaitable[list[News]]]) -> list[list[News]]:
    """Return all results in order. The first error cancels the rest."""
    tasks = [asyncio.ensure_future(w) for w in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
