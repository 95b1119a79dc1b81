"""Compare answers by their shape: keys, order, kinds of value."""

import json
import re
from pathlib import Path
from typing import Any


def load(file: Path) -> Any:
    return json.loads(file.read_text())


def kind(value: Any, *, numbers_alike: bool) -> str:
    if numbers_alike and isinstance(value, (int, float)) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


def assert_alike(mine: Any, theirs: Any, *, numbers_alike: bool = False, where: str = "$") -> None:
    """Same keys in the same order, same kinds of value; of lists the first elements are compared."""
    assert kind(mine, numbers_alike=numbers_alike) == kind(theirs, numbers_alike=numbers_alike), where
    if isinstance(theirs, dict):
        assert list(mine) == list(theirs), where
        for key, value in theirs.items():
            assert_alike(mine[key], value, numbers_alike=numbers_alike, where=f"{where}.{key}")
    elif isinstance(theirs, list) and theirs:
        assert mine, where
        assert_alike(mine[0], theirs[0], numbers_alike=numbers_alike, where=f"{where}[0]")


def blank(text: str) -> str:
    """Return the text with every number blanked: what is left is its form."""
    return re.sub(r"\d+(\.\d+)?", "N", text)


def without_id(body: bytes) -> str:
    return re.sub(r'"request_id":"[0-9a-f]{32}"', '"request_id":"ID"', body.decode())
