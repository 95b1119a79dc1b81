"""What the adapters' tests share: asks, replies, and recordings of what vendors once answered."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from collector.vendors import VENDORS
from collector.vendors.base import Ask, Credentials, HistoryReading, Reading, Reply, Request
from common.messages import Timeframe, VolumeKind

KEY = "Kp7Zq2LmXw9RtB4s"
"""Planted: may turn up nowhere but in the request."""
TOKEN = "v.AbC/9xYz1"
CREDENTIALS = Credentials(key=KEY, token=TOKEN)


def ask(vendor_symbol: str, symbol: str = "", volume_kind: VolumeKind = "none") -> Ask:
    """Return an ask; its generic symbol is the vendor's unless it is given."""
    return Ask(symbol or vendor_symbol, vendor_symbol, "some_class", volume_kind)


def reply(
    body: str | bytes, status: int = 200, received_ms: int = 1_700_000_000_000, headers: Mapping[str, str] | None = None
) -> Reply:
    """Return a complete reply."""
    content = body.encode() if isinstance(body, str) else body
    return Reply(status, headers or {"content-type": "application/json"}, content, received_ms)


def latest(vendor: str, asks: Sequence[Ask], answer: Reply) -> Reading:
    """Return what the adapter makes of the answer to its own request for the latest prices."""
    adapter = VENDORS[vendor]
    return adapter.read_latest(adapter.latest(asks, CREDENTIALS), answer)


def history(
    vendor: str, what: Ask, timeframe: Timeframe, answer: Reply, span: tuple[int, int] | None = None
) -> HistoryReading:
    """Return what the adapter makes of the answer to its own request for history; without a span, of any time."""
    adapter = VENDORS[vendor]
    from_ms, to_ms = span or (0, 3_600_000)
    first, *_ = adapter.history(what, timeframe, from_ms, to_ms, CREDENTIALS)
    return adapter.read_history(first if span else _of_all_time(first), timeframe, answer)


def _of_all_time(request: Request) -> Request:
    return replace(request, span=None)
