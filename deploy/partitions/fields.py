"""Which symbol each field of a stage's state hash and each key of a partition belongs to."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

SHARED = ""
"""In place of a symbol: what every partition has alike."""
DROPPED = "-"
"""In place of a symbol: what means nothing elsewhere, and can be done without."""
FIRST = "0"
"""In place of a symbol: what the process of partition 0 minds for all."""


def _collector(field: str) -> str:
    kind, *rest = field.split(":")
    match kind, rest:
        case (("cycle" | "now_ms"), []):
            return SHARED
        case (("q" | "p"), [_source, symbol, _class]):
            return symbol
        case (("series" | "terminal"), [symbol]):
            return symbol
        case "t", [_source]:
            return FIRST
        case "offline_since_ms", []:
            return FIRST
        case _:  # the name of the last pushed batch, how far a half-told history is
            return DROPPED


def _validator(field: str) -> str:
    kind, *rest = field.split("|")
    return rest[0] if rest else SHARED if kind == "clock" else DROPPED


def _features(field: str) -> str:
    kind, _, name = field.partition(":")
    if kind in ("clock", "place"):
        return SHARED
    return name.partition("|")[0] if kind in ("symbol", "asked") else DROPPED


def _storer(field: str) -> str:
    if field == "given_back":
        return DROPPED
    return field.removeprefix("series:").partition("|")[0]


SYMBOL_OF_FIELD: Mapping[str, Callable[[str], str]] = {
    "collector": _collector, "validator": _validator, "features": _features, "storer": _storer,
}  # fmt: skip
"""Stage -> what a field of its state hash belongs to."""


class Key(NamedTuple):
    """A key of one partition, taken apart."""

    partition: int
    kind: str
    rest: str


def parsed(key: bytes) -> Key | None:
    """Return a key's parts; None for a key of no partition."""
    tag, closed, rest = key.decode(errors="replace").partition("}:")
    if not (closed and tag.startswith("{") and tag[1:].isdigit()):
        return None
    kind, _, more = rest.partition(":")
    return Key(int(tag[1:]), kind, more)


def symbol_of_key(key: Key) -> str | None:
    """Return the symbol that a whole key belongs to; None if it belongs to none."""
    match key.kind, key.rest.split(":"):
        case "cache", ["bars", symbol, _timeframe]:
            return symbol
        case "features", [symbol, _timeframe]:
            return symbol
        case "ticks", [symbol] if symbol:
            return symbol
        case _:
            return None
