"""Faults on demand: which vendor misbehaves how, from which cycle on and how often."""

from typing import Literal, get_args

import msgspec

Kind = Literal[
    "latency", "429", "500", "401", "hang", "reset", "truncate", "garbage", "html", "wrong_price", "outage", "redirect",
    "slow_drip", "wrong_content_type", "403", "silent", "close",
]  # fmt: skip
Phase = Literal["call", "open", "cycle", "price", "frame"]
"""Where a fault may strike: a REST call; the handshake of a WebSocket, an open one in each cycle, the prices it is told
in a cycle, the frames of a cycle."""

_KINDS: dict[Phase, frozenset[str]] = {
    "call": frozenset(get_args(Kind)) - {"403", "silent", "close"},
    "open": frozenset({"403", "429", "500", "hang", "reset", "outage", "redirect", "html"}),
    "cycle": frozenset({"close", "hang", "reset", "outage"}),
    "price": frozenset({"wrong_price"}),
    "frame": frozenset({"silent", "latency", "garbage", "truncate"}),
}
_CHANNELS: dict[str, tuple[Phase, ...]] = {
    "": get_args(Phase), "rest": ("call",), "stream": ("open", "cycle", "price", "frame"),
}  # fmt: skip

_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}) | frozenset(
    range(3000, 5000)
)
DEFAULT_VALUES: dict[str, float] = {"latency": 1.0, "500": 500, "wrong_price": 1.1, "slow_drip": 0.05, "close": 1001}


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault as it is asked for."""

    vendor: str
    fault: Kind
    """401 is Yahoo's "Invalid Crumb"; outage resets every connection until it is taken back. Of WebSockets: 403
    refuses the handshake as 429 and 500 do, silent withholds all frames, close ends open ones."""
    from_cycle: int = 0
    cycles: int | None = None
    """None: without end."""
    count: int | None = None
    """Calls to hit at most, handshakes and cycles of one WebSocket among them; None: all."""
    value: float | None = None
    """Seconds of latency, or between two bytes of a slow drip; the status of a 500; the factor of a wrong price;
    the code of a close, 1006: without a close frame."""
    path: str = ""
    """Only calls whose path contains this."""
    channel: Literal["", "rest", "stream"] = ""
    """Only REST calls, or only WebSockets."""


class Fault:
    """A fault in force, and how many calls it still hits."""

    def __init__(self, number: int, order: Order) -> None:
        self.number = number
        self.order = order
        self.hits = 0

    @property
    def value(self) -> float:
        """The value asked for, or the usual one."""
        return DEFAULT_VALUES.get(self.order.fault, 0.0) if self.order.value is None else self.order.value

    def strikes(self, vendor: str, path: str, cycle: int, phase: Phase) -> bool:
        """Return whether this call is hit."""
        order = self.order
        if order.fault not in _KINDS[phase] or phase not in _CHANNELS[order.channel]:
            return False
        end = None if order.cycles is None else order.from_cycle + order.cycles
        in_time = order.from_cycle <= cycle and (end is None or cycle < end)
        left = order.count is None or self.hits < order.count
        return order.vendor == vendor and order.path in path and in_time and left


class Faults:
    """All faults, the oldest first: the first that strikes is the one that counts."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._number = 0

    def add(self, order: Order) -> Fault:
        """Put a fault in force."""
        self._number += 1
        fault = Fault(self._number, order)
        self._faults.append(fault)
        return fault

    def remove(self, vendor: str | None) -> int:
        """Take back the faults of one vendor, or all; return how many."""
        kept = [fault for fault in self._faults if vendor is not None and fault.order.vendor != vendor]
        removed = len(self._faults) - len(kept)
        self._faults = kept
        return removed

    def strike(self, vendor: str, path: str, cycle: int, phase: Phase = "call") -> Fault | None:
        """Return the fault that hits this call, counted; None if none does."""
        for fault in self._faults:
            if fault.strikes(vendor, path, cycle, phase):
                fault.hits += 1
                return fault
        return None

    def report(self) -> list[dict[str, object]]:
        """Return every fault with its number and hits."""
        return [{"id": f.number, "hits": f.hits, **msgspec.to_builtins(f.order)} for f in self._faults]


def order_of(body: bytes, vendors: tuple[str, ...]) -> Order:
    """Return the order in a request's body. msgspec.ValidationError or DecodeError says what is wrong."""
    try:
        order = msgspec.json.decode(body, type=Order)
    except msgspec.ValidationError as e:
        if "$.fault" in str(e):
            raise msgspec.ValidationError(f"fault: expected one of {', '.join(get_args(Kind))}; {e}") from e
        raise
    if order.vendor not in vendors:
        raise msgspec.ValidationError(f"vendor: expected one of {', '.join(vendors)}, found {order.vendor!r}")
    if order.fault == "401" and order.vendor != "yahoo":
        raise msgspec.ValidationError("fault: expected 401 for yahoo only, the one vendor with sessions")
    if not any(order.fault in _KINDS[phase] for phase in _CHANNELS[order.channel]):
        raise msgspec.ValidationError(f"fault: {order.fault} never strikes channel {order.channel}")
    if order.fault == "close" and order.value is not None and order.value not in _CLOSE_CODES:
        raise msgspec.ValidationError(f"value: expected a close code such as 1001 or 1006, found {order.value}")
    if order.value is not None and not 0 <= order.value <= 86_400:
        raise msgspec.ValidationError(f"value: expected 0 to 86400, found {order.value}")
    return order
