"""Recorded bars through the feature engine itself: the signals that live would have given on the same final bars.

Each bar becomes four quotes (open, high, low, close) inside its time, and a clock entry closes it, with the lateness of
the settings. Where bars are missing, clock entries close the longer bars that end meanwhile, as live ones would. What
bars can't tell, a backtest can't withhold for: the quality of single quotes, silent half minutes, sources that failed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from backtest.history import FileBar, History
from common.bars import bucket_end_ms
from common.errors import Fatal
from common.indicators import SessionClock
from common.messages import TIMEFRAME_MS, Bar, Clock, HistoryBars, Quote, Signal
from common.sessions import after_open_time, next_open_ms
from common.settings import Settings
from common.strategies import parse_strategies
from common.symbols import Symbol, SymbolTable, load_symbols
from features.engine import Engine
from features.rules import Rules, lane_outputs, rules_of
from features.track import Feed

NO_BREAK_MS = 2**62
"""A file's holes are missing bars, not interruptions of collecting: live, the clock goes on at the weekend."""
LAST_QUOTE_MS = 1_000
"""Before the bar's end."""


@dataclass(frozen=True)
class Setting:
    """A symbol's engine, to be made as often as it is run."""

    symbol: Symbol
    table: SymbolTable
    rules: Rules
    length_ms: int
    """Of the recorded bars."""
    spread: float
    """As it is assumed, in the price's unit."""


@dataclass(frozen=True)
class Run:
    """What came out."""

    bars: tuple[Bar, ...]
    signals: tuple[Signal, ...]


def setting_of(history: History, settings: Settings, spread_ticks: float) -> Setting:
    """Return the engine of a file's symbol, on the timeframes that its bars can be put together to."""
    table = load_symbols((history.symbol,), settings.symbols_file)
    fitting = tuple(name for name in settings.timeframes if TIMEFRAME_MS[name] % history.length_ms == 0)
    if not fitting:
        raise Fatal(f"FILES: {history.name}: expected bars that divide one of {', '.join(settings.timeframes)}")
    own = settings.model_copy(update={"symbols": (history.symbol,), "timeframes": fitting, "limits": "none"})
    rules = rules_of(own, table)
    symbol = table.symbols[history.symbol]
    unbroken = replace(rules, break_ms=NO_BREAK_MS)
    return Setting(symbol, table, unbroken, history.length_ms, spread_ticks * symbol.tick_size)


def with_strategies(setting: Setting, settings: Settings, text: str) -> Setting:
    """Return the same engine with the strategies of another text."""
    timeframes = tuple(name for name, _ in setting.rules.timeframes)
    own = settings.model_copy(update={"symbols": (setting.symbol.name,), "timeframes": timeframes})
    strategies = parse_strategies(text, "the walk-forward's", lane_outputs(setting.rules.plan, own))
    return replace(setting, rules=replace(setting.rules, strategies=strategies))


def run(setting: Setting, bars: Sequence[FileBar], before: Sequence[HistoryBars] = ()) -> Run:
    """Return the final bars and the signals. before: history that the engine warms up with, as live from a vendor."""
    engine = Engine(setting.rules, (setting.symbol,), partial(_feed, setting.table))
    engine.tick(Clock(cycle=0, now_ms=bars[0].open_ms, wall_ms=0))
    for message in before:
        engine.take_history(message)
    closed: list[Bar] = []
    signals: list[Signal] = []
    for number, bar in enumerate(bars):
        engine.take_quotes(_quotes(setting, bar))
        next_ms = bars[number + 1].open_ms if number + 1 < len(bars) else None
        for now_ms in _clocks(setting, bar, next_ms):
            tick = engine.tick(Clock(cycle=number, now_ms=now_ms, wall_ms=now_ms))
            closed += tick.bars
            signals += tick.signals
        engine.changes.tracks.clear()  # nothing is committed here
        engine.changes.slots.clear()
        for slot in engine.tracks[setting.symbol.name].slots.values():
            slot.appended.clear()
    return Run(tuple(closed), tuple(signals))


def _feed(table: SymbolTable, symbol: Symbol, source_class: str) -> Feed:
    name = table.session_of(symbol.name, source_class)
    return Feed(source_class, 0, SessionClock(partial(next_open_ms, name), partial(after_open_time, name)))


def _quotes(setting: Setting, bar: FileBar) -> Iterator[Quote]:
    last_ms = setting.length_ms - LAST_QUOTE_MS
    half = setting.spread / 2
    prices = (bar.open, bar.high, bar.low, bar.close)
    for place, price in enumerate(prices):
        at_ms = bar.open_ms + place * last_ms // 3
        yield Quote(
            symbol=setting.symbol.name, source="file", source_class=setting.symbol.series, market_ms=at_ms,
            received_ms=at_ms, price=price, raw_id="0-0", raw_index=0, bid=price - half, ask=price + half,
            volume=(bar.volume or 0.0) if place == 0 else 0.0,
            volume_kind="none" if bar.volume is None else "traded",
        )  # fmt: skip


def _clocks(setting: Setting, bar: FileBar, next_ms: int | None) -> list[int]:
    """Return when the clock is looked at between this bar and the next one: whenever a bar of any timeframe is due."""
    ends = {bucket_end_ms(bar.open_ms, length_ms) for _, length_ms in setting.rules.timeframes}
    ends.add(bar.open_ms + setting.length_ms)
    return sorted(end + setting.rules.lateness_ms for end in ends if _is_due(end, bar, setting.length_ms, next_ms))


def _is_due(end_ms: int, bar: FileBar, length_ms: int, next_ms: int | None) -> bool:
    own_end_ms = bar.open_ms + length_ms
    return end_ms == own_end_ms or (end_ms > own_end_ms and (next_ms is None or end_ms <= next_ms))
