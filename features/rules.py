"""The engine's rules from the settings, the plan's file and the strategies' file."""

from dataclasses import dataclass
from typing import cast

from common.errors import Fatal
from common.indicators import CONVERGENCE, Indicator, Plan, load_plan, nearest
from common.indicators.plan_file import SETTING, place_of
from common.messages import TIMEFRAME_MS, Timeframe
from common.settings import Settings
from common.strategies import LaneOutputs, Strategy, load_strategies
from common.symbols import Symbol, SymbolTable

# A break in collecting: so many intervals without a clock entry, but no less than a slow cycle can take.
BREAK_INTERVALS = 10
BREAK_LEAST_MS = 30_000


@dataclass(frozen=True)
class Rules:
    """The settings of an engine. Durations in milliseconds of stream time."""

    timeframes: tuple[tuple[Timeframe, int], ...]
    """Name and length, shortest first."""
    lateness_ms: int
    max_bars: int
    anchor_bars: int
    needed_bars: int
    """Stored bars below which history is asked for."""
    break_ms: int
    """Distance of two clock entries above which collecting was interrupted."""
    expiry_ms: int
    plan: Plan
    strategies: tuple[Strategy, ...]

    def asks(self, timeframe: str) -> bool:
        """Tell whether strategies look at bars of a timeframe."""
        return any(timeframe in strategy.timeframes for strategy in self.strategies)


def delay_ms(symbol: Symbol, source_class: str, settings: Settings) -> int:
    """Return how late the quotes of one of the symbol's classes are by contract."""
    if settings.limits == "none":
        return 0
    return 1000 * max(listing.delay_s for listing in symbol.feed(source_class))


def rules_of(settings: Settings, table: SymbolTable) -> Rules:
    """Return the engine's rules. Fatal if the plan does not fit the symbols, or the bar cache is too short for it."""
    plan = load_plan(settings.indicators_file)
    check_plan(plan, settings, table)
    needed = plan.needed_bars
    if settings.max_bars_cache < needed:
        one = next(one for one in plan.indicators if one.needed_bars == needed)
        raise Fatal(
            f"MAX_BARS_CACHE: expected at least {needed} ({CONVERGENCE} times its lookback, or more, for {one.name}:"
            f" {place_of(settings.indicators_file, one.name)}), found {settings.max_bars_cache}"
        )
    return Rules(
        timeframes=tuple((cast(Timeframe, name), TIMEFRAME_MS[name]) for name in settings.timeframes),
        lateness_ms=int(settings.lateness * 1000),
        max_bars=settings.max_bars_cache,
        anchor_bars=settings.anchor_bars,
        needed_bars=needed,
        break_ms=max(BREAK_LEAST_MS, int(BREAK_INTERVALS * settings.collection_interval * 1000)),
        expiry_ms=int(settings.signal_expiry * 1000),
        plan=plan,
        strategies=load_strategies(settings.strategies_file, lane_outputs(plan, settings)),
    )


def lane_outputs(plan: Plan, settings: Settings) -> list[LaneOutputs]:
    """Return what each lane has for strategies: values over two symbols follow too late for them."""
    return [
        LaneOutputs(symbol, timeframe, {name: i.lookback for i in program.indicators for name in i.names})
        for symbol in settings.symbols
        for timeframe in settings.timeframes
        for program in (plan.program(symbol, timeframe),)
    ]


def check_plan(plan: Plan, settings: Settings, table: SymbolTable) -> None:
    """Fatal if the plan names symbols that are not set, or pairs symbols that don't share a partition."""
    names = set(settings.symbols)
    for one in plan.indicators:
        for symbol in sorted({*(one.symbols or ()), *([one.other] if one.other else ())} - names):
            raise _misfit(
                one, settings, f"expected symbols of SYMBOLS ({', '.join(settings.symbols)}), found"
                f" {symbol}{nearest(symbol, names)}"
            )  # fmt: skip
    for one in plan.pairs():
        for symbol in sorted(one.symbols or ()):
            groups = [table.symbols[name].partition_group or name for name in (symbol, cast(str, one.other))]
            if groups[0] != groups[1]:
                raise _misfit(
                    one, settings, f"expected {symbol} and {one.other} in one partition_group of the symbol table,"
                    f" found {groups[0]} and {groups[1]}"
                )  # fmt: skip


def _misfit(one: Indicator, settings: Settings, why: str) -> Fatal:
    return Fatal(f"{SETTING}: {place_of(settings.indicators_file, one.name)}: {one.name}: {why}")
