"""List what can be computed on every lane, and what is: `python -m deploy.indicators [RSI]`, or `make indicators`."""

import argparse
import json
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from common.errors import Fatal
from common.indicators import Function, Plan, catalogue, load_plan, nearest, parse_plan
from common.indicators.function import Memory
from common.indicators.plan_file import AVERAGES, BUILTIN
from common.indicators.talib_functions import call_text
from common.settings import load_settings

MEMORY: Mapping[Memory, str] = {
    "window": "the last bars alone",
    "recursive": "all bars so far, the older ones fading",
    "session": "all bars since the session's first one, where it starts",
    "sessions": "whole sessions before this one",
}
CORRELATION = 'correlation = { function = "CORREL" }', ("correlation",)
FED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ACOS": CORRELATION,
    "ASIN": CORRELATION,
    "MAVP": ('dominant_cycle = { function = "HT_DCPERIOD" }', ("close", "dominant_cycle")),
}
"""Functions that a bar's columns alone don't suit: what an example puts before them, and gives them."""
WIDEST, NARROWEST = 110, 50
AVERAGE_NAMES = {number: name for name, number in AVERAGES.items()}


def main(arguments: Sequence[str]) -> int:
    """Print the list, or one function, and return the exit code."""
    options = parser().parse_args(arguments)
    try:
        file = load_settings().indicators_file
        plan = load_plan(file)
        functions = [_named(options.name)] if options.name else list(catalogue().values())
    except Fatal as e:
        print(e, file=sys.stderr)
        return 1
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
    lines = detail(functions[0], plan) if options.name else listing(functions, plan, file, width)
    print("\n".join(lines))
    return 0


def _named(name: str) -> Function:
    found = catalogue().get(name.upper())
    if found is None:
        raise Fatal(f"NAME: expected a function's name, found {name!r}{nearest(name, catalogue())}")
    return found


# -- the list --------------------------------------------------------------------------------------


def listing(functions: Sequence[Function], plan: Plan, file: Path | None, width: int) -> Iterator[str]:
    """Yield all functions by group, with what they take and give, and what the plan has of them."""
    theirs = sum(function.source == "TA-Lib" for function in functions)
    yield f"{theirs} functions of TA-Lib and {len(functions) - theirs} of our own."
    yield f"The plan in use, of {len(plan.indicators)} indicators: {file or BUILTIN}"
    yield "More of one, with the line that puts it into the plan: make indicators NAME=RSI"
    for group, members in groupby(functions, key=lambda function: function.group):
        yield ""
        yield group
        for function in members:
            yield from _entry(function, plan, width)


def _entry(function: Function, plan: Plan, width: int) -> Iterator[str]:
    """Yield the lines of one function: its name and title, what it takes and gives, and where it is used."""
    yield from textwrap.wrap(f"{function.name}  {function.title}", width, initial_indent="  ", subsequent_indent=INDENT)
    memory = function.memory_of(function.params)
    facts = [
        f"{', '.join(inputs(function))} -> {', '.join(function.outputs)}",
        *([", ".join(params(function))] if function.params else []),
        f"lookback {function.lookback_of(function.params)}, {memory}",
    ]
    yield from _indented("; ".join(facts), width)
    used = [one.name for one in plan.indicators if one.function.name == function.name]
    if used:
        yield from _indented(f"in the plan: {', '.join(used)}", width)


INDENT = " " * 6


def _indented(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False)


def inputs(function: Function) -> list[str]:
    """Return what a function takes: columns, and by TA-Lib's name what stands for one, as in "price0=high"."""
    return [
        one.column if one.name in (one.column, "price") else f"{one.name}={one.column or '?'}"
        for one in function.inputs
    ]


def params(function: Function) -> list[str]:
    """Return the parameters with their defaults, as they stand in a plan but for the blanks."""
    return [f"{name}={_literal(name, value)}" for name, value in function.params.items()]


def _literal(name: str, value: float) -> str:
    """Return a parameter's value as a plan has it: averages by their names."""
    return f'"{AVERAGE_NAMES[int(value)]}"' if name.endswith("matype") else repr(value)


# -- one function ----------------------------------------------------------------------------------


def detail(function: Function, plan: Plan) -> Iterator[str]:
    """Yield what there is to know of one function."""
    memory, lookback = function.memory_of(function.params), function.lookback_of(function.params)
    text = example(function)
    shown = parse_plan(text, "the example").indicators[-1]
    of_what = " of the session" if shown.memory == "session" else ""
    yield f"{function.name}: {function.title}"
    yield f"  group        {function.group}"
    yield f"  inputs       {', '.join(inputs(function))}{_freedom(function)}"
    yield f"  parameters   {', '.join(params(function)) or 'none'}"
    yield f"  outputs      {', '.join(function.outputs)}"
    yield f"  lookback     {lookback} bars before the first value"
    yield f"  ready        after {shown.settle_bars} bars{of_what}, as below"
    yield f"  rests on     {MEMORY[memory]} ({memory})"
    yield from _source(function)
    for one in plan.indicators:
        if one.function.name == function.name:
            yield f"  in the plan  {one.name}: {', '.join(one.names)}"
    yield "  for the plan"
    yield from (f"    {line}" for line in text.splitlines())


def _freedom(function: Function) -> str:
    free = [one.column or one.name for one in function.inputs if one.free]
    if not free:
        return ""
    key = "input" if len(free) == 1 else "inputs"
    return f"; instead of {' and '.join(free)} any column or output of another indicator, by {key}"


def _source(function: Function) -> Iterator[str]:
    if function.source != "TA-Lib":
        yield f"  source       {function.source}; not in TA-Lib"
        return
    columns = [one.column or one.name for one in function.inputs]
    yield f"  in TA-Lib    {call_text(function, columns, function.params)}"


def example(function: Function) -> str:
    """Return a plan that has this function alone, or after what it needs, with its defaults written out."""
    before, given = FED.get(function.name, ("", ()))
    parts = [f'function = "{function.name}"']
    if given:
        parts.append(f"inputs = {json.dumps(given)}")
    parts += [f"{name} = {_literal(name, value)}" for name, value in function.params.items()]
    line = f"{function.name.lower()} = {{ {', '.join(parts)} }}"
    return "\n".join(filter(None, ("[indicators]", before, line)))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m deploy.indicators", description=__doc__)
    made.add_argument("name", nargs="?", default="", help="of one function, to see more of it")
    return made


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
    sys.exit(main(sys.argv[1:]))
