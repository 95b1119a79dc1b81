"""Read and check the plan's file: default_plan.toml beside this one, or the user's own (INDICATORS_FILE)."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from talib import MA_Type  # type: ignore[attr-defined]  # missing in TA-Lib's stubs

from common.errors import Fatal
from common.indicators.catalogue import catalogue, nearest
from common.indicators.columns import COLUMNS
from common.indicators.function import Function
from common.indicators.plan import Indicator, Plan, indicator, output_names
from common.messages import TIMEFRAME_MS
from common.toml_file import read_text, tables

SETTING = "INDICATORS_FILE"
BUILTIN = Path(__file__).with_name("default_plan.toml")
KEYS = ("function", "input", "inputs", "outputs", "timeframes", "symbols")
"""What an indicator may have beside its function's parameters."""
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_INT_MOST, _REAL_MOST = 2**31 - 1, 3e37
"""What TA-Lib takes at the most, with either sign: to the numbers next to them it gives another meaning."""
AVERAGES = {name: int(getattr(MA_Type, name)) for name in dir(MA_Type) if name.isupper()}
"""Names for the types of moving average that TA-Lib numbers."""


class Wrong(ValueError):
    """An indicator's definition can't be used."""


def load_plan(file: Path | None) -> Plan:
    """Return the plan in a file; None: the one that comes with the project. Fatal names the line and what is wrong."""
    path = file or BUILTIN
    return parse_plan(read_text(SETTING, path), str(path))


def place_of(file: Path | None, name: str) -> str:
    """Return where the plan that is loaded from `file` defines an indicator: the file and the line."""
    path = file or BUILTIN
    return f"{path}, line {_line(read_text(SETTING, path), name)}"


def parse_plan(text: str, where: str) -> Plan:
    """Return the plan in a text. Fatal names the line and what is wrong, with the nearest right name."""
    known: dict[str, Indicator] = {}
    indicators = []
    for name, definition in _definitions(text, where).items():
        try:
            one = _indicator(name, definition, known)
        except ValueError as e:
            raise Fatal(f"{SETTING}: {where}, line {_line(text, name)}: {name}: {e}") from e
        known |= dict.fromkeys(one.names, one)
        indicators.append(one)
    return Plan(tuple(indicators))


def _definitions(text: str, where: str) -> Mapping[str, object]:
    """Return the indicators' definitions, by name and in the text's order."""
    document = tables(SETTING, where, text)
    for name, value in document.items():
        if name != "indicators" or not isinstance(value, dict):
            line, hint = _line(text, name), "" if name == "indicators" else nearest(name, ["indicators"])
            raise Fatal(f"{SETTING}: {where}, line {line}: expected one table [indicators], found {name!r}{hint}")
    if "indicators" not in document:
        raise Fatal(f"{SETTING}: {where}: expected one table [indicators], found none")
    return cast(Mapping[str, object], document["indicators"])


def _indicator(name: str, definition: object, known: Mapping[str, Indicator]) -> Indicator:
    if not _NAME.fullmatch(name) or name in COLUMNS:
        raise Wrong("expected a name of small letters, digits and _ that is no column's")
    if not isinstance(definition, dict) or not isinstance(definition.get("function"), str):
        raise Wrong('expected a table with a function, as in { function = "RSI", timeperiod = 14 }')
    function = _function(definition["function"])
    params = {key: value for key, value in definition.items() if key not in KEYS}
    outputs = _outputs(name, definition, function, known)
    inputs = [_known_input(ref, known) for ref in _inputs(definition)]
    made = indicator(
        name,
        function,
        params={key: _param(function, key, value) for key, value in params.items()},
        inputs=inputs,
        outputs=outputs,
        before=known,
        timeframes=_timeframes(definition),
        symbols=_texts(definition, "symbols"),
    )
    _check_lanes(made, known)
    _check_pair(made, known)
    return made


def _function(name: str) -> Function:
    found = catalogue().get(name)
    if found is None:
        raise Wrong(f"no function {name!r}{nearest(name, catalogue())}; `make indicators` lists them")
    return found


def _param(function: Function, key: str, value: object) -> float:
    if key not in function.params:
        known = ", ".join(function.params) or "none"
        hint = nearest(key, [*function.params, *KEYS])
        raise Wrong(f"{function.name} has no parameter {key!r}{hint}; its parameters: {known}")
    if key.endswith("matype") and isinstance(value, str):
        if value not in AVERAGES:
            raise Wrong(f"{key}: expected one of {', '.join(AVERAGES)}, found {value!r}{nearest(value, AVERAGES)}")
        return AVERAGES[value]
    whole = isinstance(function.params[key], int)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise Wrong(f"{key}: expected a {'whole ' if whole else ''}number, found {value!r}")
    number, most = cast(float, value), _INT_MOST if whole else _REAL_MOST
    if not -most <= number <= most:
        raise Wrong(f"{key}: expected a number from {-most:g} to {most:g}, found {value!r}")
    return number if whole else float(number)


def _inputs(definition: Mapping[str, Any]) -> Sequence[str]:
    if "input" in definition and "inputs" in definition:
        raise Wrong("expected input or inputs, found both")
    if "input" in definition:
        if not isinstance(definition["input"], str):
            raise Wrong(f"input: expected a name, found {definition['input']!r}")
        return [definition["input"]]
    return _texts(definition, "inputs") or []


def _known_input(ref: str, known: Mapping[str, Indicator]) -> str:
    symbol, colon, column = ref.rpartition(":")
    if colon:
        if not symbol or column not in COLUMNS:
            raise Wrong(f"input {ref!r}: expected SYMBOL:column, the column one of {', '.join(COLUMNS)}")
        return ref
    if ref not in COLUMNS and ref not in known:
        names = [*COLUMNS, *known]
        raise Wrong(f"input {ref!r}: expected a column or an output defined above{nearest(ref, names)}")
    return ref


def _outputs(
    name: str, definition: Mapping[str, Any], function: Function, known: Mapping[str, Indicator]
) -> Sequence[str]:
    outputs = _texts(definition, "outputs") or []
    if outputs and len(outputs) != len(function.outputs):
        wanted = ", ".join(function.outputs)
        raise Wrong(f"outputs: expected {len(function.outputs)} names (for {wanted}), found {len(outputs)}")
    for output in outputs or output_names(name, function):
        if not _NAME.fullmatch(output) or output in COLUMNS:
            raise Wrong(f"outputs: expected small letters, digits and _, and no column's name, found {output!r}")
        if output in known:
            raise Wrong(f"output {output!r} exists already: {known[output].name} has it")
    if len(set(outputs)) < len(outputs):
        raise Wrong("outputs: expected each name once")
    return outputs


def _timeframes(definition: Mapping[str, Any]) -> Sequence[str] | None:
    found = _texts(definition, "timeframes")
    for one in found or ():
        if one not in TIMEFRAME_MS:
            raise Wrong(f"timeframes: expected some of {', '.join(TIMEFRAME_MS)}, found {one!r}")
    return found


def _texts(definition: Mapping[str, Any], key: str) -> list[str] | None:
    found = definition.get(key)
    if found is None:
        return None
    if not isinstance(found, list) or not found or not all(isinstance(text, str) for text in found):
        raise Wrong(f"{key}: expected a list of names, found {found!r}")
    return found


def _check_lanes(made: Indicator, known: Mapping[str, Indicator]) -> None:
    """What an indicator rests on must run wherever it runs."""
    for ref in made.inputs:
        below = known.get(ref)
        if below is None:
            continue
        for what, ours, theirs in (
            ("timeframes", made.timeframes, below.timeframes), ("symbols", made.symbols, below.symbols),
        ):  # fmt: skip
            if theirs is not None and (ours is None or not ours <= theirs):
                raise Wrong(f"input {ref!r} has the {what} {', '.join(sorted(theirs))} only: expected no others here")


def _check_pair(made: Indicator, known: Mapping[str, Indicator]) -> None:
    for ref in made.inputs:
        if ref in known and known[ref].other is not None:
            raise Wrong(f"input {ref!r} is over two symbols: nothing can rest on it")
    if made.other is None:
        return
    others = {ref.rpartition(":")[0] for ref in made.inputs if ":" in ref}
    by_session = made.memory in ("session", "sessions") or any(ref.endswith("session") for ref in made.inputs)
    if len(others) > 1 or made.chained or by_session:
        raise Wrong("an indicator over two symbols takes columns of its own and of one other; none by session")
    if any(ref.endswith(":volume") for ref in made.inputs):
        raise Wrong(f"expected prices of {others.pop()}: its volume may be none, or of two kinds, unseen by this lane")
    if made.symbols is None or others & made.symbols:
        raise Wrong(f"expected symbols = [...], those that are set beside {others.pop()}, without itself")


def _line(text: str, name: str) -> int:
    """Return the line in which an indicator is defined."""
    quoted = rf"""["']?{re.escape(name)}["']?"""
    definition = re.compile(rf"\s*(?:{quoted}\s*[=.]|\[+\s*(?:indicators\s*\.\s*)?{quoted}\s*[\].])")
    lines = enumerate(text.splitlines(), 1)
    return next((number for number, line in lines if definition.match(line)), 1)
