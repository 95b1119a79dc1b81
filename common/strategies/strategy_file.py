"""Read and check the strategies' file: strategies.toml beside this one, or the user's own (STRATEGIES_FILE)."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast, get_type_hints

from common.errors import Fatal
from common.indicators import nearest
from common.messages import TIMEFRAME_MS
from common.strategies.base import Strategy
from common.strategies.breakout import Breakout
from common.strategies.momentum import Momentum
from common.strategies.params import Between, Named
from common.strategies.pullback import Pullback
from common.strategies.regime import REGIMES, Classifier
from common.strategies.reversion import MeanReversion
from common.strategies.rules import Frame, Rule, make_strategy
from common.strategies.squeeze import Squeeze
from common.strategies.trend import TrendFollowing
from common.toml_file import read_text, tables

SETTING = "STRATEGIES_FILE"
BUILTIN = Path(__file__).with_name("strategies.toml")
RULES: Mapping[str, Callable[..., Rule]] = {
    "trend_following": TrendFollowing,
    "momentum": Momentum,
    "mean_reversion": MeanReversion,
    "breakout": Breakout,
    "volatility_squeeze": Squeeze,
    "pullback": Pullback,
}
SECTIONS = ("regime", "strategies")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MOST_COOLDOWN, _MOST_TARGET_R = 100_000, 100.0


@dataclass(frozen=True)
class LaneOutputs:
    """What the plan gives a lane."""

    symbol: str
    timeframe: str
    lookbacks: Mapping[str, int]
    """By output: bars that it looks back."""


class Wrong(ValueError):
    """A parameter can't be used."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(why)
        self.key = key


def load_strategies(file: Path | None, lanes: Sequence[LaneOutputs]) -> tuple[Strategy, ...]:
    """Return the strategies in a file; None: those that come with the project. Fatal names the line and what is wrong.

    lanes: all that run; a strategy must find the outputs that it names on each one that it looks at.
    """
    path = file or BUILTIN
    return parse_strategies(read_text(SETTING, path), str(path), lanes)


def parse_strategies(text: str, where: str, lanes: Sequence[LaneOutputs]) -> tuple[Strategy, ...]:
    """Return the strategies in a text, in its order."""
    source = _Source(text, where)
    document = source.document()
    tables = document["strategies"]
    if not tables:
        return ()
    if "regime" not in document:
        raise Fatal(f"{SETTING}: {where}: expected a table [regime], found none")
    regime = source.checked(("regime",), lambda: _regime(document["regime"]))
    return tuple(
        source.checked(("strategies", name), lambda: _strategy(name, table, regime, lanes))  # noqa: B023  # called at once
        for name, table in tables.items()
    )


@dataclass(frozen=True)
class _Source:
    """The text, and where it is from."""

    text: str
    where: str

    def document(self) -> Mapping[str, Any]:
        """Return the tables [regime] and [strategies]."""
        found = tables(SETTING, self.where, self.text)
        for name, value in found.items():
            if name not in SECTIONS or not isinstance(value, dict):
                hint = "" if name in SECTIONS else nearest(name, SECTIONS)
                self._fail((name,), "", f"expected tables [regime] and [strategies], found {name!r}{hint}")
        if "strategies" not in found:
            raise Fatal(f"{SETTING}: {self.where}: expected a table [strategies], found none")
        return found

    def checked(self, path: tuple[str, ...], make: Callable[[], Any]) -> Any:  # noqa: ANN401  # what `make` makes
        """Return what is made of a table. Fatal with its line if it can't be."""
        try:
            return make()
        except Wrong as e:
            self._fail(path, e.key, f"{path[-1]}: {e}", e)

    def _fail(self, path: tuple[str, ...], key: str, why: str, cause: Exception | None = None) -> NoReturn:
        line = line_of(self.text, path, key)
        raise Fatal(f"{SETTING}: {self.where}, line {line}: {why}") from cause


def _regime(table: Mapping[str, object]) -> Classifier:
    return Classifier(**_params(Classifier, table, ()))


def _strategy(name: str, table: object, regime: Classifier, lanes: Sequence[LaneOutputs]) -> Strategy:
    if not _NAME.fullmatch(name):
        raise Wrong("", "expected a name of small letters, digits and _")
    if not isinstance(table, dict):
        raise Wrong("", f"expected a table, found {table!r}")
    rule_class = _rule_class(table)
    own = _names(rule_class)
    frame = _frame({key: value for key, value in table.items() if key not in own})
    rule = rule_class(**_params(rule_class, {k: v for k, v in table.items() if k in own}, ()))
    outputs = _outputs(rule) | {"atr": frame.atr} | {f"regime's {k}": v for k, v in _outputs(regime).items()}
    looked_at = [lane for lane in lanes if lane.timeframe in frame.timeframes]
    _check_outputs(outputs, looked_at)
    needs = tuple(dict.fromkeys(outputs.values()))
    return make_strategy(name, frame, rule, needs, regime, _lookback(needs, looked_at))


def _rule_class(table: Mapping[str, object]) -> Callable[..., Rule]:
    found = table.get("rule")
    if not isinstance(found, str) or found not in RULES:
        hint = nearest(found, RULES) if isinstance(found, str) else ""
        raise Wrong("rule", f"rule: expected one of {', '.join(RULES)}, found {_shown(table, 'rule')}{hint}")
    hints = _names(RULES[found])
    known = [*hints, *_names(Frame), "rule"]
    for key in table:
        if key not in known:
            raise Wrong(key, f"{found} has no parameter {key!r}{nearest(key, known)}; its own: {', '.join(hints)}")
    return RULES[found]


def _frame(table: Mapping[str, object]) -> Frame:
    given = _params(Frame, table, ("timeframes", "regimes", "cooldown_bars", "targets_r", "rule"))
    return Frame(
        timeframes=_choices(table, "timeframes", TIMEFRAME_MS),
        regimes=cast(Any, _choices(table, "regimes", REGIMES)),
        cooldown_bars=_count(table, "cooldown_bars"),
        targets_r=_targets(table),
        **given,
    )


def _names(made: Callable[..., object]) -> list[str]:
    return list(get_type_hints(made))


def _params(made: Callable[..., object], table: Mapping[str, object], others: Collection[str]) -> dict[str, Any]:
    """Return the parameters of a dataclass, checked by their declared kinds. others: looked at elsewhere."""
    hints = {k: v for k, v in get_type_hints(made, include_extras=True).items() if k not in others}
    for key in table:
        if key not in hints and key not in others:
            raise Wrong(key, f"no parameter {key!r}{nearest(key, hints)}; known: {', '.join(hints)}")
    return {key: _param(table, key, hint.__metadata__[0]) for key, hint in hints.items()}


def _param(table: Mapping[str, object], key: str, kind: Between | Named) -> str | float:
    value = table.get(key)
    if isinstance(kind, Named):
        if not isinstance(value, str):
            raise Wrong(key, f"{key}: expected the name of an output of the plan, found {_shown(table, key)}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not kind.least <= value <= kind.most:
        limits = f"{kind.least:g} to {kind.most:g}"
        raise Wrong(key, f"{key}: expected a number from {limits}, found {_shown(table, key)}")
    return float(value)


def _choices(table: Mapping[str, object], key: str, allowed: Collection[str]) -> tuple[str, ...]:
    found = table.get(key)
    if not isinstance(found, list) or not found:
        raise Wrong(key, f"{key}: expected some of {', '.join(allowed)}, found {_shown(table, key)}")
    for one in found:
        if not isinstance(one, str) or one not in allowed:
            hint = nearest(one, allowed) if isinstance(one, str) else ""
            raise Wrong(key, f"{key}: expected some of {', '.join(allowed)}, found {one!r}{hint}")
    return tuple(found)


def _count(table: Mapping[str, object], key: str) -> int:
    found = table.get(key)
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _MOST_COOLDOWN:
        raise Wrong(key, f"{key}: expected a whole number from 0 to {_MOST_COOLDOWN}, found {_shown(table, key)}")
    return found


def _targets(table: Mapping[str, object]) -> tuple[float, float]:
    found = table.get("targets_r")
    numbers = [n for n in found if isinstance(n, int | float)] if isinstance(found, list) else []
    if not isinstance(found, list) or len(found) != 2 or len(numbers) != 2:
        raise Wrong("targets_r", f"targets_r: expected two numbers, found {_shown(table, 'targets_r')}")
    first, second = float(numbers[0]), float(numbers[1])
    if not 0 < first < second <= _MOST_TARGET_R:
        raise Wrong("targets_r", f"targets_r: expected 0 < first < second <= {_MOST_TARGET_R:g}, found {found}")
    return first, second


def _shown(table: Mapping[str, object], key: str) -> str:
    return repr(table[key]) if key in table else "none"


def _outputs(made: object) -> dict[str, str]:
    """Return the outputs that a rule or the classifier names, by parameter."""
    hints = get_type_hints(type(made), include_extras=True)
    named = [key for key, hint in hints.items() if isinstance(hint.__metadata__[0], Named)]
    return {key: getattr(made, key) for key in named}


def _check_outputs(outputs: Mapping[str, str], lanes: Sequence[LaneOutputs]) -> None:
    for lane in lanes:
        for key, output in outputs.items():
            if output not in lane.lookbacks:
                raise Wrong(
                    "" if " " in key else key,
                    f"{key}: the plan has no output {output!r} on {lane.symbol} {lane.timeframe}"
                    f"{nearest(output, lane.lookbacks)}",
                )


def _lookback(needs: Sequence[str], lanes: Sequence[LaneOutputs]) -> int:
    return max((lane.lookbacks[name] for lane in lanes for name in needs), default=0)


def line_of(text: str, path: tuple[str, ...], key: str) -> int:
    """Return the line of a key in a table; else the table's own, else the first."""
    table_line, inside = 1, False
    wanted = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*=""")
    own = re.compile(rf"""\s*["']?{re.escape(path[-1])}["']?\s*[=.]""")
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[+([^\]]+)\]", line)
        if header:
            found = tuple(part.strip(" \"'") for part in header[1].split("."))
            inside = found == path
            table_line = number if inside else table_line
        elif key and inside and wanted.match(line):
            return number
        elif table_line == 1 and own.match(line):
            table_line = number
    return table_line
