"""What the engine commits with its batches: the fields of the hash keys.state(p, "features"), each one JSON value."""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from common.messages import Clock
from common.symbols import Symbol
from features.builder import OpenBars
from features.coverage import Coverage

CLOCK_FIELD = "clock"
PLACE_FIELD = "place"
NO_PLACE = "0-0"
TOLD_FOR_MS = 60_000
"""How long a signal can be read after it has expired, to tell why it isn't served; then readers have less to read."""


class Live(Struct, frozen=True):
    """Of the last signal of a symbol: what bars its opposite until it expires."""

    action: Literal["BUY", "SELL"]
    quality: float
    expires_ms: int

    def lapses(self, last_ms: int | None, now_ms: int) -> bool:
        """Tell whether its time to be told of ends between two clock entries."""
        end_ms = self.expires_ms + TOLD_FOR_MS
        return end_ms <= now_ms and (last_ms is None or last_ms < end_ms)


class SymbolState(Struct, frozen=True):
    """One symbol: the bars that are still open in each timeframe, and what the rules of its signals remember."""

    series: str
    """The class that feeds it."""
    coverage: Coverage
    forming: dict[str, OpenBars]
    """By timeframe."""
    signalled: dict[str, int]
    """By "timeframe|strategy": open time of the bar of its last signal."""
    newest_ms: int | None = None
    """Market time of the newest quote; None before the first."""
    own: str = ""
    """The class that the symbol table named then as its own; with another one there, everything starts anew."""
    anew_ms: int | None = None
    """Stream time at which another class began to feed it; None: never yet."""
    newest_bars: dict[str, int] = {}
    """By timeframe: open time of the last bar in the bar cache, to tell a cache that is gone from an empty one."""
    live: Live | None = None
    """None: no signal yet."""
    newest_score: float | None = None
    """Quality of the newest quote."""

    def fits(self, symbol: Symbol) -> bool:
        """Whether the symbol table still lets this class feed the series."""
        return (self.own or self.series) == symbol.series and self.series in symbol.may_feed()


class Asked(Struct, frozen=True):
    """A request for a lane's history."""

    id: str
    asked_ms: int
    answered: bool
    retry_ms: int | None = None
    """When the vendors are asked for more again; None: not known, or they have no more."""
    detail: str = ""
    """What the answer says of what is lacking."""


class Restored(Struct, frozen=True):
    """All of the hash, decoded."""

    clock: Clock | None
    symbols: dict[str, SymbolState]
    asked: dict[str, Asked]
    """By lane name."""
    place: str = NO_PLACE
    """Of the last entry of `raw` whose consequences were taken in."""


_json = msgspec.json.Encoder()
_symbol = msgspec.json.Decoder(SymbolState)
_asked = msgspec.json.Decoder(Asked)
_clock = msgspec.json.Decoder(Clock)


def symbol_field(symbol: str) -> str:
    """Return the field of a SymbolState."""
    return f"symbol:{symbol}"


def asked_field(lane: str) -> str:
    """Return the field of an Asked."""
    return f"asked:{lane}"


def encode_value(value: SymbolState | Asked | Clock) -> bytes:
    """Return a field's value."""
    return _json.encode(value)


def decode_state(fields: Mapping[bytes, bytes]) -> Restored:
    """Return the hash's content. msgspec.DecodeError or ValidationError where a field is not what was written."""
    clock: Clock | None = None
    symbols: dict[str, SymbolState] = {}
    asked: dict[str, Asked] = {}
    place = NO_PLACE
    for raw_name, body in fields.items():
        kind, _, name = raw_name.decode().partition(":")
        if kind == "symbol":
            symbols[name] = _symbol.decode(body)
        elif kind == "asked":
            asked[name] = _asked.decode(body)
        elif kind == CLOCK_FIELD:
            clock = _clock.decode(body)
        elif kind == PLACE_FIELD:
            place = body.decode()
    return Restored(clock, symbols, asked, place)
