"""What the routes work with: made once per process."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import cast

from starlette.requests import Request

from api.account import AccountBook
from api.account_memory import AccountMemory
from api.journal import Journal
from api.ledger import Ledger
from api.live.feed import Feed
from api.operator_metrics import Rate
from api.pipeline_state import StateReader
from api.publisher import Publisher
from api.redis_pool import RedisPool, open_pool
from api.self_reports import LOOK_AROUND_S, SelfReports
from api.symbol_columns import Decoder
from api.tick_desk import TickDesk
from common import clock, keys
from common.history import History
from common.indicators import Plan, load_plan
from common.metrics import Metrics
from common.settings import Settings
from common.symbols import SymbolTable, load_symbols

STAGE = "api"
HEARTBEAT_FRESH_MS = 10_000  # what it says of margin is of that moment


@dataclass
class Sightings:
    """When clients were last heard of, in real time. None: never."""

    report_wall_ms: int | None = None
    poll_wall_ms: int | None = None
    equity: float | None = None
    """As the last poll or heartbeat gave it."""
    heartbeat_wall_ms: int | None = None
    free_margin: float | None = None
    """As the last heartbeat gave it; None: it didn't."""
    positions: int | None = None
    """How many the client says that it holds."""

    def free_margin_now(self, wall_ms: int) -> float | None:
        """Return the free margin of the last heartbeat, if that is fresh."""
        return self.free_margin if self._heard_lately(wall_ms) else None

    def positions_now(self, wall_ms: int) -> int:
        """Return how many positions the last heartbeat told of, if that is fresh; else 0."""
        return (self.positions or 0) if self._heard_lately(wall_ms) else 0

    def _heard_lately(self, wall_ms: int) -> bool:
        return self.heartbeat_wall_ms is not None and wall_ms - self.heartbeat_wall_ms <= HEARTBEAT_FRESH_MS

    @property
    def last_wall_ms(self) -> int | None:
        """The newest of all."""
        return max((at for at in (self.report_wall_ms, self.poll_wall_ms) if at is not None), default=None)


@dataclass(frozen=True)
class Context:
    """The api's parts."""

    settings: Settings
    table: SymbolTable
    pool: RedisPool
    state: StateReader
    decoder: Decoder
    self_reports: SelfReports
    history: History
    journal: Journal
    ledger: Ledger
    account: AccountBook
    memory: AccountMemory
    publisher: Publisher
    ticks: TickDesk
    tick_publisher: Publisher
    live: Feed
    metrics: Metrics
    plan: Plan
    started_s: float
    """Monotonic."""
    wall_ms: Callable[[], int] = clock.wall_ms
    sightings: Sightings = field(default_factory=Sightings)
    rate: Rate = field(default_factory=Rate)
    """Of the data points collected."""
    computing: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, 1))
    """Held by the one request that computes in a thread: several would take the interpreter from all others."""

    @cached_property
    def sessions(self) -> frozenset[str]:
        """The trading sessions of all classes that may feed a series."""
        symbols = self.table.symbols.items()
        return frozenset(self.table.session_of(name, c) for name, symbol in symbols for c in symbol.may_feed())

    @property
    def instance(self) -> str:
        """This process's stable name."""
        return self.settings.instance or STAGE

    @property
    def past_known(self) -> bool:
        """Whether the positions of before are known: the journal has seen everything, or there was nothing before."""
        return not (self.journal.begins and self.history.path.exists())

    @property
    def trouble(self) -> str:
        """What an operator must know of this process's own work; empty if all is well."""
        full = self.ledger.full_streams()
        journal = f"the journal is full of {', '.join(full)}: new ones are refused" if full else ""
        ticks = self.tick_publisher.trouble if self.tick_publisher.held_back else ""
        return "; ".join(text for text in (self.publisher.trouble, ticks, journal) if text)

    @property
    def uptime_s(self) -> float:
        """How long this process has been up."""
        return round(clock.monotonic_s() - self.started_s, 3)


def make_context(
    settings: Settings, wall_ms: Callable[[], int] = clock.wall_ms, look_around_s: float = LOOK_AROUND_S
) -> Context:
    """Return the parts for these settings, with the journal taken up. Fatal if journal, table or plan are wrong."""
    table = load_symbols(settings.symbols, settings.symbols_file)
    plan = load_plan(settings.indicators_file)
    # The reader of signals waits on connections of its own, one for each partition: they are of the same number.
    pool = open_pool(settings, max(1, settings.redis_pool_size - settings.stream_partitions))
    journal = Journal(settings.state_dir)
    metrics = Metrics(STAGE)
    ledger = Ledger(journal, table, settings.stream_partitions)
    ticks = TickDesk(settings.state_dir, table, settings.stream_partitions)
    account, history = AccountBook(settings), History(settings.database_path)
    sightings = Sightings(report_wall_ms=ledger.restore())
    return Context(
        settings=settings,
        table=table,
        pool=pool,
        state=StateReader(pool, settings, table),
        decoder=Decoder(),
        self_reports=SelfReports(pool, table, look_around_s),
        history=history,
        journal=journal,
        ledger=ledger,
        account=account,
        memory=AccountMemory(account, journal, pool, history, ledger),
        publisher=Publisher(pool, ledger, settings.stream_partitions, settings.stream_budget, metrics),
        ticks=ticks,
        tick_publisher=Publisher(
            pool, ticks, settings.stream_partitions, settings.stream_budget, metrics, (keys.TICKS,)
        ),
        live=Feed([open_pool(settings, 1) for _ in range(settings.stream_partitions)], metrics),
        metrics=metrics,
        plan=plan,
        started_s=clock.monotonic_s(),
        wall_ms=wall_ms,
        sightings=sightings,
    )


def context_of(request: Request) -> Context:
    """Return the context of the app that serves this request."""
    return cast(Context, request.app.state.context)
