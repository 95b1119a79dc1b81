"""Days of collecting in process, second by second: the real planner, choice and budget rules against vendors that
enforce their own limits. No socket, no Redis, no clock.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from collector.choose import Group, SourceView, batches, choose
from collector.limits import Plan, Purpose, load_limits
from collector.pace import Course
from collector.quota_model import correct
from collector.vendors.base import Verdict
from common.breaker import Admission, model
from common.breaker.values import Result
from common.sessions import is_open, next_open_ms
from common.symbols import Listing, SymbolTable, load_symbols
from tests.collector.bound import Bound, Staleness, Supply, bound, table
from tests.collector.played import (
    BATCH,
    FREE,
    SECOND_MS,
    SYMBOLS,
    PlayedSource,
    PlayedVendor,
    Reply,
    Scenario,
    Span,
    within,
)


@dataclass
class Week:
    """The whole of it: `run` plays the scenario, the rest is what came of it."""

    scenario: Scenario
    table: SymbolTable = field(default_factory=lambda: load_symbols(SYMBOLS))
    staleness: dict[str, Staleness] = field(default_factory=dict)
    calls: Counter[tuple[str, Purpose]] = field(default_factory=Counter)
    served_by: Counter[tuple[str, str]] = field(default_factory=Counter)
    late_failovers: list[tuple[int, str]] = field(default_factory=list)
    """A source failed a symbol, another one could have served it from its budget, and did not in the same second."""
    failovers: int = 0
    closed_calls: list[tuple[int, str]] = field(default_factory=list)
    least_reserve: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Source and window -> the least that was left beyond what stands-ins took of the reserve."""

    def __post_init__(self) -> None:
        plans = load_limits()
        listings = {name: {s.name: x for s in self.table.symbols.values() for x in s.feed() if x.vendor == name}
                    for name in FREE}  # fmt: skip
        self.sources = {
            name: PlayedSource(name, plans[name], self._course(name, listings[name], plans[name]),
                               configured=name in self.scenario.sources)
            for name in FREE
        }  # fmt: skip
        self.vendors = {name: PlayedVendor(name, self.scenario) for name in FREE}
        self.listings: dict[str, Sequence[Listing]] = {s: self.table.symbols[s].feed() for s in SYMBOLS}
        self.staleness = {symbol: Staleness() for symbol in SYMBOLS}
        self._live: dict[str, str] = {}

    def bounds(self, symbol: str) -> tuple[Bound, Bound]:
        """Return what the budgets allow, without and with their reserves."""
        scenario = self.scenario
        span = (scenario.start_ms, scenario.end_ms)
        supplies = [
            Supply(s.plan, s.course, (*scenario.blocked.get(s.name, ()), *scenario.down.get(s.name, ())))
            for s in self.sources.values()
            if s.configured and s.name != "polygon"  # its free plan has no current prices
        ]
        pushed = _between(span, scenario.silent) if scenario.push else ()
        session = self.table.session_of(symbol)
        regular, whole = (bound(session, symbol, supplies, span, pushed, whole=w) for w in (False, True))
        return regular, whole

    def print_table(self, title: str) -> None:
        """Print the staleness beside its bounds, and who was asked how often."""
        print(f"\n{title}\n{table({s: (self.staleness[s], *self.bounds(s)) for s in SYMBOLS})}")
        print("credits:", ", ".join(f"{name} {purpose} {n}" for (name, purpose), n in sorted(self.calls.items())))

    def _course(self, name: str, listed: Mapping[str, Listing], plan: Plan) -> Course:
        sessions = {symbol: self.table.session_of(symbol) for symbol in listed}
        return Course(sessions, BATCH[name], plan.per_symbol)

    @property
    def refusals(self) -> dict[str, list[tuple[int, str]]]:
        """Calls that a vendor refused because of its limit."""
        return {name: vendor.refusals for name, vendor in self.vendors.items() if vendor.refusals}

    def run(self) -> "Week":
        """Play it, each second in which any market is open."""
        now_ms = self.scenario.start_ms
        sessions = {symbol: self.table.session_of(symbol) for symbol in SYMBOLS}
        while now_ms < self.scenario.end_ms:
            wanted = {s: self.listings[s] for s in SYMBOLS if is_open(sessions[s], now_ms)}
            for symbol in SYMBOLS:
                self.staleness[symbol].at(now_ms, opened=symbol in wanted)
            others = self.scenario.others(now_ms)
            if others:
                self.vendors["twelvedata"].limit.admit(now_ms, others)
            if not wanted:
                now_ms = min(next_open_ms(session, now_ms) for session in set(sessions.values()))
                continue
            self._second(wanted, now_ms)
            now_ms += SECOND_MS
        for staleness in self.staleness.values():
            staleness.at(now_ms, opened=False)
        return self

    def _second(self, wanted: Mapping[str, Sequence[Listing]], now_ms: int) -> None:
        pushing = self.scenario.push and not within(self.scenario.silent, now_ms)
        live = dict.fromkeys(wanted, "yahoo") if pushing else {}
        lost = frozenset(self._live.keys() & wanted.keys()) - live.keys()
        self._live = live
        for symbol in live:
            self.staleness[symbol].served(now_ms)
        self._serve(wanted, {}, now_ms, lost)

    def _serve(
        self, wanted: Mapping[str, Sequence[Listing]], tried: Mapping[str, frozenset[str]], now_ms: int,
        lost: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        views = {name: source.view(now_ms) for name, source in self.sources.items()}
        choice = choose(wanted, views, tried, now_ms, self._live, lost)
        chosen = {ask.symbol for group in choice.groups for ask in group.asks}
        for symbol in (tried.keys() | lost) - chosen:
            able = [x.vendor for x in wanted[symbol] if x.vendor not in tried.get(symbol, ())]
            preferred_failed = symbol in lost or wanted[symbol][0].vendor not in able
            if preferred_failed and any(self._could(views[name], symbol, now_ms) for name in able):
                self.late_failovers.append((now_ms, symbol))
        self.failovers += len((tried.keys() | lost) & chosen)
        for group in choice.groups:
            for batch in batches(group.asks, BATCH[group.source]):
                self._ask(group._replace(asks=batch), wanted, tried, now_ms)

    def _could(self, view: SourceView, symbol: str, now_ms: int) -> bool:
        return not view.why_not(symbol, now_ms) and (view.quota.left(Purpose.FAILOVER) or 0) > 0

    def _ask(
        self, group: Group, wanted: Mapping[str, Sequence[Listing]], tried: Mapping[str, frozenset[str]], now_ms: int
    ) -> None:
        source = self.sources[group.source]
        source.breaker, admission = model.admit(source.breaker, now_ms, source.rules)
        source.changed()
        if not admission.allowed:
            return
        if not any(is_open(source.course.sessions[ask.symbol], now_ms) for ask in group.asks):
            self.closed_calls.append((now_ms, group.source))
        reply = self._exchange(source, group, now_ms)
        if reply is not None:
            self._judge(source, admission, reply, now_ms)
        served = reply.served if reply else ()
        for symbol in served:
            self.staleness[symbol].served(now_ms)
            self.served_by[group.source, symbol] += 1
        failed = {ask.symbol for ask in group.asks} - set(served)
        if failed and group.purpose is not Purpose.CHECK:
            more = {s: tried.get(s, frozenset()) | {group.source} for s in failed}
            self._serve({s: wanted[s] for s in wanted if s in failed}, more, now_ms)

    def _exchange(self, source: PlayedSource, group: Group, now_ms: int) -> Reply | None:
        """Return the reply to the call, or to its first request that was refused; None: the budget forbids it."""
        vendor = self.vendors[source.name]
        reply = None
        costs = vendor.request_costs(len(group.asks))
        for place, cost in enumerate(costs, start=1):
            is_last = place == len(costs)
            symbols = tuple(ask.symbol for ask in group.asks) if is_last else ()
            purpose = group.purpose if is_last else Purpose.SESSION
            if not source.pay(cost, now_ms, purpose, symbols):
                return None
            self.calls[source.name, purpose] += cost
            self._watch_reserve(source, now_ms)
            reply = vendor.answer(group.asks, cost, now_ms)
            if reply.verdict is not Verdict.OK:
                return reply
        return reply

    def _judge(self, source: PlayedSource, admission: Admission, reply: Reply, now_ms: int) -> None:
        result = Result(failed=reply.verdict is Verdict.OUTAGE)
        source.breaker, _ = model.record(source.breaker, admission, now_ms, result, source.rules, 0)
        if reply.credits_left is not None:
            source.stored = correct(source.plan, source.stored, reply.credits_left, now_ms)
        if reply.verdict is Verdict.RATE_LIMITED:
            source.block("", reply.verdict, reply.retry_after_s, now_ms)
        for symbol, verdict in reply.refused.items():
            source.block(symbol, verdict, None, now_ms)
        source.changed()

    def _watch_reserve(self, source: PlayedSource, now_ms: int) -> None:
        for usage in source.view(now_ms).quota.usages:
            beyond = usage.window.credits - usage.used - usage.reserve_left
            key = (source.name, usage.window.name)
            self.least_reserve[key] = min(self.least_reserve.get(key, beyond), beyond)


def _between(span: Span, gaps: Sequence[Span]) -> tuple[Span, ...]:
    edges = [span[0], *(edge for gap in sorted(gaps) for edge in gap), span[1]]
    return tuple(zip(edges[::2], edges[1::2], strict=True))
