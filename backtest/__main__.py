"""Run the strategies over files of recorded bars: `python -m backtest --spread 1 FILE ...`.

The engine is the live one, with the settings of now (INDICATORS_FILE, STRATEGIES_FILE, TIMEFRAMES, LATENESS, ...); no
process, Redis or network is needed, and nothing but the HTML file is written.

Exit codes: 0 tested, 1 a strategy looks ahead, 2 can't be done.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from backtest.causality import peeks
from backtest.feed import Setting, run, setting_of, with_strategies
from backtest.figures import buy_and_hold, figures
from backtest.grid import read_grid, variants
from backtest.history import History, read_history
from backtest.page import page
from backtest.report import Result, Tested, lines
from backtest.trades import Costs, Market, Trade, trades_of
from backtest.walk import Forward, forward
from common.command_line import decimal, whole
from common.errors import Fatal, PipelineError
from common.settings import Settings, load_settings
from common.strategies.strategy_file import BUILTIN, SETTING
from common.toml_file import read_text

TESTED, INVALID, UNDONE = 0, 1, 2
MOST_SPLITS = 100


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks, and return the exit code."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    try:
        options = parser().parse_args(arguments)
        tested = _test_all(options, load_settings())
    except PipelineError as e:
        print(e, file=sys.stderr)
        return UNDONE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return UNDONE
    for line in lines(tested):
        print(line)
    if options.html:
        options.html.write_text(page(tested), encoding="utf-8")
        print(f"charts: {options.html}")
    return INVALID if any(one.peeked for one in tested) else TESTED


def parser() -> argparse.ArgumentParser:
    """Return what the command line may hold."""
    found = argparse.ArgumentParser(prog="backtest", description="Run the strategies over recorded bars.")
    found.add_argument("files", nargs="*", type=Path, metavar="FILE", help="SYMBOL_ANYTHING.csv or .csv.gz")
    found.add_argument("--spread", type=decimal("SPREAD", 10), default=10.0, help="in ticks of the symbol table (10)")
    found.add_argument(
        "--slippage", type=decimal("SLIPPAGE", 2), default=2.0, help="in ticks, at each fill at the market (2)"
    )
    found.add_argument(
        "--splits", type=whole("SPLITS", 4), default=4, help="stretches of time that are judged apart (4)"
    )
    found.add_argument("--walk", type=whole("WALK", 10), default=0, help="parts to walk forward over; 0: none (0)")
    found.add_argument("--html", type=Path, help="write a page with charts")
    return found


def _test_all(options: argparse.Namespace, settings: Settings) -> list[Tested]:
    if not options.files:
        raise Fatal('FILES: expected at least one file of bars, as in make backtest FILES="EURUSD_M5.csv.gz"')
    _refuse_bounds(options)
    histories = [read_history(path) for path in options.files]
    settings_of = [setting_of(history, settings, options.spread) for history in histories]
    tests = sum(len(setting.rules.strategies) for setting in settings_of)
    tested = []
    for history, setting in zip(histories, settings_of, strict=True):
        one = test(history, setting, options.slippage, options.splits, tests)
        walked = walk(history, setting, settings, one.costs, options.walk, tests) if options.walk else None
        tested.append(replace(one, forward=walked))
    return tested


def _refuse_bounds(options: argparse.Namespace) -> None:
    for name, ticks in (("SPREAD", options.spread), ("SLIPPAGE", options.slippage)):
        if ticks < 0:
            raise Fatal(f"{name}: expected 0 or more ticks, found {ticks:g}")
    if not 1 <= options.splits <= MOST_SPLITS:
        raise Fatal(f"SPLITS: expected 1 to {MOST_SPLITS}, found {options.splits}")
    if not 0 <= options.walk <= MOST_SPLITS:
        raise Fatal(f"WALK: expected 0 to {MOST_SPLITS}, found {options.walk}")


def walk(
    history: History, setting: Setting, settings: Settings, costs: Costs, count: int, tests: int
) -> Forward:  # fmt: skip
    """Return what came of choosing parameters before trading them."""
    text = read_text(SETTING, settings.strategies_file or BUILTIN)
    market = Market(history)
    found: dict[str, list[tuple[str, list[Trade]]]] = {}
    for variant in variants(text, read_grid()):
        chosen = with_strategies(setting, settings, variant.text)
        signals = run(chosen, history.bars).signals
        for name, label in variant.labels.items():
            own = [signal for signal in signals if signal.strategy == name]
            found.setdefault(name, []).append((label, trades_of(own, market, costs)))
    return forward(history, found, costs, count, tests)


def test(history: History, setting: Setting, slippage_ticks: float, splits: int, tests: int) -> Tested:
    """Return what the strategies made of one history."""
    signals = run(setting, history.bars).signals
    market, costs = Market(history), Costs(setting.spread, slippage_ticks * setting.symbol.tick_size)
    results = []
    for strategy in setting.rules.strategies:
        trades = trades_of([s for s in signals if s.strategy == strategy.name], market, costs)
        results.append(Result(strategy.name, figures(trades, market, costs, splits, tests), tuple(trades)))
    peeked = peeks(lambda bars: run(setting, bars).signals, history.bars, history.length_ms)
    return Tested(
        history.name, history.symbol, len(history.bars), history.bars[0].open_ms,
        history.bars[-1].open_ms + history.length_ms, costs, setting.symbol.digits, len(signals),
        buy_and_hold(market, costs), tuple(peeked), tuple(results),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
