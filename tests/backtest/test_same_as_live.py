"""A backtest gives the signals that live gives on the same final bars, and catches what live can't do: look ahead."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from backtest.causality import peeks, turned_after
from backtest.feed import run
from backtest.history import FileBar
from common.messages import Bar, Bars, HistoryBars, Signal
from common.strategies import Candidate, Strategy, View
from tests.backtest.made import MINUTE, setting, walk
from tests.features.market import cycles, warm_up
from tests.features.support import Entries, Store, handler
from tests.features.test_signals import BUY

HOW_IT_CAME = ("published_ms", "expires_ms", "data_age_ms", "source", "data_score", "spread")
"""What depends on the single quotes of a bar, and on when the clock was looked at."""


def live(seed: int) -> tuple[list[Bar], list[Signal], list[HistoryBars]]:
    """Ten hours of quotes every five seconds through the stage: its bars, its signals, and the history before."""
    store, stage = Store(), handler(Store(), timeframes=("1m", "5m"))
    before = list(warm_up(("EURUSD",)))
    bars: list[Bar] = []
    signals: list[Signal] = []
    for entry in Entries().of(*before, *cycles(("EURUSD",), seed, 36_010, every_s=5, sigma=0.0004)):
        for published in store.commit(stage.handle((entry,))).publish:
            if isinstance(published.message, Bars):
                bars += published.message.bars
            if isinstance(published.message, Signal):
                signals.append(published.message)
    reasons = {s.labels["reason"] for s in stage._metrics.snapshot().counters if "unasked" in s.name}
    assert "stale" not in reasons  # in a bar of a file, no silence can be seen
    return bars, signals, [message for message in before if isinstance(message, HistoryBars)]


def told(signals: Sequence[Signal]) -> list[dict[str, object]]:
    return [{n: getattr(s, n) for n in s.__struct_fields__ if n not in HOW_IT_CAME} for s in signals]


@pytest.mark.parametrize("seed", [3, 4])
def test_live_and_backtest_give_identical_signals_on_the_same_bars(seed: int) -> None:
    bars, signals, before = live(seed)
    minutes = [FileBar(b.open_ms, b.open, b.high, b.low, b.close, b.volume) for b in bars if b.timeframe == "1m"]

    again = run(setting(minutes), minutes, before)

    def columns(found: Sequence[Bar]) -> list[tuple[object, ...]]:
        return [(b.timeframe, b.open_ms, b.open, b.high, b.low, b.close, b.volume, b.complete) for b in found]

    assert columns(again.bars) == columns(bars)
    assert told(again.signals) == told(signals)
    assert len({s.strategy for s in signals}) >= 3
    assert len(signals) >= 10


BARS = walk(1, 400)


def reading(bars: Sequence[FileBar], ahead: int) -> Strategy:
    """A strategy that trades in the direction of the bar so many bars ahead of the one that closed."""
    direction = {
        (bar.open, bar.high, bar.low, bar.close): bars[n + ahead].close - bars[n + ahead].open
        for n, bar in enumerate(bars[: len(bars) - ahead])
    }

    def evaluate(view: View) -> Candidate | None:
        moved = direction.get((view.open, view.high, view.low, view.close), 0.0)
        if not moved:
            return None
        side = 1 if moved > 0 else -1
        return replace(
            BUY, action="BUY" if side > 0 else "SELL", entry=view.close, stop_loss=view.close - side * 0.002,
            take_profit_1=view.close + side * 0.002, take_profit_2=view.close + side * 0.004,
        )  # fmt: skip

    return Strategy("reading", ("atr_14",), ("1m",), 3, evaluate)


def signals_with(strategy_of: Callable[[Sequence[FileBar]], Strategy]) -> Callable[[Sequence[FileBar]], list[Signal]]:
    return lambda bars: list(run(setting(bars, strategy_of(bars)), bars).signals)


def test_a_strategy_that_looks_one_bar_ahead_is_caught() -> None:
    assert peeks(signals_with(lambda bars: reading(bars, ahead=1)), BARS, MINUTE) != []


def test_the_same_strategy_on_the_bar_that_closed_is_not() -> None:
    honest = signals_with(lambda bars: reading(bars, ahead=0))

    assert len(honest(BARS)) > 20
    assert peeks(honest, BARS, MINUTE) == []


@pytest.mark.long
def test_the_projects_strategies_do_not_look_ahead() -> None:
    bars = walk(2, 6_500)
    strategies: set[str] = set()

    def signals(given: Sequence[FileBar]) -> Sequence[Signal]:
        found = run(setting(given), given).signals
        strategies.update(signal.strategy for signal in found)
        return found

    assert peeks(signals, bars, MINUTE) == []
    assert len(strategies) >= 2


def test_another_future_begins_after_the_cut_and_is_a_market() -> None:
    turned = turned_after(BARS, 100)

    assert tuple(turned[:100]) == BARS[:100]
    assert len(turned) == 120
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in turned)
    for was, now in zip(BARS[100:120], turned[100:], strict=True):
        assert (was.close > was.open) == (now.close < now.open)
