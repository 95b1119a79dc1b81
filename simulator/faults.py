"""Faults on demand: which vendor misbehaves how, from which cycle on and how often."""

from typing import Literal

import msgspec

Kind = Literal[
    "latency", "429", "500", "401", "hang", "reset", "truncate", "garbage", "html", "wrong_price", "outage", "redirect",
    "slow_drip", "wrong_content_type",
]  # fmt: skip

DEFAULT_VALUES: dict[str, float] = {"latency": 1.0, "500": 500, "wrong_price": 1.1, "slow_drip": 0.05}


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault as it is asked for."""

    vendor: str
    fault: Kind
    """401 is Yahoo's "Invalid Crumb"; outage resets every connection until it is taken back."""
    from_cycle: int = 0
    cycles: int | None = None
    """None: without end."""
    count: int | None = None
    """Calls to hit at most; None: all."""
    value: float | None = None
    """Seconds of latency, or between two bytes of a slow drip; the status of a 500; the factor of a wrong price."""
    path: str = ""
    """Only calls whose path contains this."""


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

    def strikes(self, vendor: str, path: str, cycle: int) -> bool:
        """Return whether this call is hit."""
        order = self.order
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

    def strike(self, vendor: str, path: str, cycle: int) -> Fault | None:
        """Return the fault that hits this call, counted; None if none does."""
        for fault in self._faults:
            if fault.strikes(vendor, path, cycle):
                fault.hits += 1
                return fault
        return None

    def report(self) -> list[dict[str, object]]:
        """Return every fault with its number and hits."""
        return [{"id": f.number, "hits": f.hits, **msgspec.to_builtins(f.order)} for f in self._faults]


def order_of(body: bytes, vendors: tuple[str, ...]) -> Order:
    """Return the order in a request's body. msgspec.ValidationError or DecodeError says what is wrong."""
    order = msgspec.json.decode(body, type=Order)
    if order.vendor not in vendors:
        raise msgspec.ValidationError(f"vendor: expected one of {', '.join(vendors)}, found {order.vendor!r}")
    if order.fault == "401" and order.vendor != "yahoo":
        raise msgspec.ValidationError("fault: expected 401 for yahoo only, the one vendor with sessions")
    if order.value is not None and not 0 <= order.value <= 86_400:
        raise msgspec.ValidationError(f"value: expected 0 to 86400, found {order.value}")
    return order
