"""The fault matrix: which test provokes which fault, what is promised, and which change would break the promise."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

TESTS = Path(__file__).resolve().parents[1]
FAMILIES = {
    "F01": "a vendor's limits",
    "F02": "errors that come with 200, bad keys",
    "F03": "connected, but silent, slow or cut off",
    "F04": "a stampede on a half-open breaker",
    "F05": "breaker state lost",
    "F06": "two sources, two instruments",
    "F07": "bad ticks",
    "F08": "a stage killed, stopped or doubled",
    "F09": "poison entries",
    "F10": "a consumer that is behind",
    "F11": "Redis",
    "F12": "SQLite",
    "F13": "gaps in the data",
    "F14": "supervisord, its children, the machine",
    "F15": "slow or hostile clients",
    "F16": "secrets",
    "F17": "clocks",
    "F18": "a long run",
    "F19": "scaling",
    "F20": "backup and restore",
    "F21": "replay of what was stored",
}
_Test = TypeVar("_Test", bound=Callable[..., object])


@dataclass(frozen=True, order=True)
class Fault:
    """One row of the matrix."""

    number: str
    row: str
    promise: str
    teeth: str
    test: str
    """As in "tests/chaos/test_kills.py::test_name"."""

    def __post_init__(self) -> None:
        if self.number not in FAMILIES:
            raise ValueError(f"expected one of {', '.join(FAMILIES)}, found {self.number}")
        for text in (self.row, self.promise, self.teeth):
            if not text or "|" in text or "\n" in text:
                raise ValueError(f"expected one line without a bar, found {text!r}")


def fault(number: str, *, row: str, promise: str, teeth: str) -> Callable[[_Test], _Test]:
    """Mark a test as the proof of a row. All arguments are literals: the matrix is read without importing the tests.

    row: the fault, as it is provoked. promise: what holds all the same.
    teeth: "file: change", the one-line change to the code with which the test was seen to fail.
    Without the marker `short` as well, only `make chaos` runs the test.
    """
    Fault(number, row, promise, teeth, "")

    def mark(test: _Test) -> _Test:
        marked: _Test = pytest.mark.chaos(test)
        return marked

    return mark


def faults() -> list[Fault]:
    """Return every row, in the order of the page."""
    return sorted(row for path in TESTS.rglob("test_*.py") for row in _in_file(path))


def _in_file(path: Path) -> Iterator[Fault]:
    text = path.read_text()
    if "@fault(" not in text:
        return
    for function in ast.parse(text).body:
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for call in function.decorator_list:
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "fault":
                    yield _row(call, f"{path.relative_to(TESTS.parent).as_posix()}::{function.name}")


def _row(call: ast.Call, test: str) -> Fault:
    named = {str(keyword.arg): str(ast.literal_eval(keyword.value)) for keyword in call.keywords}
    return Fault(str(ast.literal_eval(call.args[0])), named["row"], named["promise"], named["teeth"], test)
