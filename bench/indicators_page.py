"""docs/indicators.md: `make indicators-page` measures every function and writes it; tests/docs checks it."""

import sys
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from bench.every_function import BARS, FILES, MARKET, figures
from common.indicators import CONVERGENCE, Function, Indicator, catalogue, load_plan
from common.indicators.talib_functions import call_text
from deploy.indicators import inputs, params

PAGE = Path(__file__).resolve().parents[1] / "docs" / "indicators.md"
TESTS = "tests/common/own_indicators"


class Measured(NamedTuple):
    """The cells of a function that only a run can tell."""

    off: str
    """The difference from TA-Lib; our own functions have an oracle instead."""
    update_us: str
    peek_us: str


NOT_YET = Measured("-", "-", "-")


class Oracle(NamedTuple):
    """What one of our own functions is compared with, and where."""

    test: str
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        """As the page has it."""
        return ", ".join(self.names)


_VOLATILITY = Oracle("test_volatility.py", ("TTR", "wickra"))
_PIVOTS = Oracle("test_pivots.py", ("pandas-ta-classic", "wickra"))
ORACLES = {
    "VWAP_BANDS": Oracle("test_vwap_bands.py", ("wickra", "numpy", "TA-Lib", "pandas-ta-classic")),
    "SESSION_RANGE": Oracle("test_session_range.py", ("wickra",)),
    "PIVOT_CLASSIC": _PIVOTS,
    "PIVOT_FIBONACCI": _PIVOTS,
    "PIVOT_CAMARILLA": _PIVOTS,
    "ICHIMOKU": Oracle("test_ichimoku.py", ("TA-Lib", "pandas-ta-classic", "wickra")),
    "VOLATILITY_CLOSE": Oracle("test_volatility.py", ("TTR", "wickra", "pandas-ta-classic")),
    "VOLATILITY_PARKINSON": _VOLATILITY,
    "VOLATILITY_GARMAN_KLASS": _VOLATILITY,
    "VOLATILITY_YANG_ZHANG": _VOLATILITY,
    "ZSCORE": Oracle("test_zscore.py", ("wickra", "pandas-ta-classic", "TA-Lib")),
    "HURST": Oracle("test_hurst.py", ("nolds",)),
}
INTRODUCTION = f"""\
# Indicators

A lane is a symbol's bars of one timeframe. Every lane computes the same plan of indicators: after each closed bar, and
for the open bar as if it closed now. The plan is data, a file with one line for each indicator; any function below can
stand in it, over any column of the bars, over another indicator's output, or over another symbol's column. The values
are in `/api/features` under the names that the plan gives them.

## To change the plan

Copy `common/indicators/default_plan.toml`, which explains its own syntax, set `INDICATORS_FILE` to the copy and change
it there. `make indicators` lists all functions, `make indicators NAME=RSI` shows one with the line for the plan. A
mistake stops the start with its line and what was expected. With the next start every lane is opened anew over its
stored bars; if the plan looks back farther than `MAX_BARS_CACHE` bars allow, the start says how many it needs.

## What a value is

Every value of TA-Lib's functions equals, bit for bit, TA-Lib's batch function over the bars from the window's start to
now; the window starts `MAX_BARS_CACHE` bars before the last anchor, which is the first bar after each `ANCHOR_BARS` bar
lengths, so that a restart gives the same numbers as an undisturbed run. What rests on a session ("session": sums over
all bars so far, and places counted from the first one) starts at the session's first bar instead, and what rests on
whole sessions ("sessions") needs one of them in the window. A value is ready when where it started no longer matters:
after its lookback and one bar more ("window"), or after {CONVERGENCE} lookbacks, some functions later ("recursive").
The open bar's values come from the same functions, which look at it as the last bar and forget it again.

"""
SYMBOLS = ", ".join(name.partition("_")[0] for name in FILES)
BEFORE_FUNCTIONS = f"""\
## Every function

"Off by" is the largest relative difference of a lane's values, anchors and sessions included, from TA-Lib's batch
function over the same window, on {BARS:,} recorded minutes each of {SYMBOLS}; 0 is equal in each bit. What
TA-Lib lacks is compared with other people's implementations instead, by name, in `{TESTS}/`.
Update and peek are what one call costs, in microseconds of the processor that wrote this page; a peek is what an update
of the open bar costs. An input in brackets may be any other series instead.

"""
_PLAN_HEAD = "| indicator | outputs | equals | lookback | ready after bars | rests on |\n|---|---|---|---|---|---|\n"
_HEAD = (
    "| function | title | inputs | parameters | outputs | lookback | rests on | off by | update us | peek us |\n"
    "|---|---|---|---|---|---|---|---|---|---|\n"
)


def main() -> int:
    """Measure everything and write the page; 1 without the recorded bars."""
    missing = [str(MARKET / f"{name}.csv.gz") for name in FILES if not (MARKET / f"{name}.csv.gz").is_file()]
    if missing:
        print(f"the page was not written: expected the recorded bars {', '.join(missing)}", file=sys.stderr)
        return 1
    measured = {
        name: Measured(f"{found.off:.0e}" if found.off else "0", f"{found.update_us:.2f}", f"{found.peek_us:.2f}")
        for name, found in figures(MARKET).items()
    }
    PAGE.write_text(render(measured))
    print(f"written: {PAGE}")
    return 0


def render(measured: Mapping[str, Measured]) -> str:
    """Return the page. measured: by the functions' names; what is missing is not measured yet."""
    groups = groupby(catalogue().values(), key=lambda function: function.group)
    sections = []
    for group, members in groups:
        lines = [_function_line(one, measured.get(one.name, NOT_YET)) for one in members]
        sections.append(f"### {group}\n\n{_HEAD}{''.join(lines)}")
    tables = "\n".join(sections)
    return f"{INTRODUCTION}{_plan_section()}\n{BEFORE_FUNCTIONS}{tables}"


def on_page() -> dict[str, Measured]:
    """Return what the page has of each function's figures."""
    found: dict[str, Measured] = {}
    for line in PAGE.read_text().partition("## Every function\n")[2].splitlines():
        if line.startswith("| ") and not line.startswith("| function "):
            name, *_, off, update_us, peek_us = (cell.strip() for cell in line.strip("|").split("|"))
            found[name] = Measured(off, update_us, peek_us)
    return found


def _plan_section() -> str:
    lines = [_line(_plan_cells(one)) for one in load_plan(None).indicators]
    return f"## The default plan\n\n{_PLAN_HEAD}{''.join(lines)}"


def _plan_cells(one: Indicator) -> Sequence[str]:
    call = call_text(one.function, one.inputs, one.params)
    equals = f"`{call}`" if one.function.source == "TA-Lib" else f"`{call.removeprefix('talib.')}`, our own"
    ready = f"{one.settle_bars} of the session" if one.memory == "session" else str(one.settle_bars)
    return (one.name, ", ".join(one.names), equals, str(one.lookback), ready, one.memory)


def _function_line(function: Function, measured: Measured) -> str:
    oracle = ORACLES.get(function.name)
    return _line((*cells(function), measured.off if oracle is None else oracle.text, *measured[1:]))


def cells(function: Function) -> Sequence[str]:
    """Return what the page says of a function beside its figures."""
    shown = [f"[{text}]" if one.free else text for one, text in zip(function.inputs, inputs(function), strict=True)]
    return (
        function.name, function.title, ", ".join(shown), ", ".join(params(function)) or "none",
        ", ".join(function.outputs), str(function.lookback_of(function.params)), function.memory_of(function.params),
    )  # fmt: skip


def _line(texts: Sequence[str]) -> str:
    """Return a table's line; a star or a bar in a text stays one."""
    return f"| {' | '.join(text.replace('*', ESCAPED_STAR).replace('|', ESCAPED_BAR) for text in texts)} |\n"


ESCAPED_STAR, ESCAPED_BAR = "\\*", "&#124;"


if __name__ == "__main__":
    sys.exit(main())
