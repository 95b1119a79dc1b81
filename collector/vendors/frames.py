"""What the vendors' conversations share: frames in and out, asks by the vendor's symbol, the end of a connection."""

import json
from collections.abc import Sequence

from collector.vendors.answers import OF_THE_SYMBOL, Trouble, header, without
from collector.vendors.base import Ask, Reply, Verdict
from collector.vendors.bodies import Json
from collector.vendors.stream import FrameReading
from collector.vendors.times import retry_after_s

_NOT_OF_A_CONNECTION = (OF_THE_SYMBOL - {Verdict.NOT_ENTITLED}) | {Verdict.OK, Verdict.BAD_SESSION}


def as_bytes(frame: str | bytes) -> bytes:
    """Return the frame's bytes, whatever kind of frame it was."""
    return frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame


def compact(content: Json) -> str:
    """Return the value as the JSON text of a frame to send."""
    return json.dumps(content, separators=(",", ":"))


def by_vendor_symbol(asks: Sequence[Ask]) -> dict[str, tuple[Ask, ...]]:
    """Return the asks by the vendor's symbol: two generic symbols may be one there."""
    return {a.vendor_symbol: tuple(b for b in asks if b.vendor_symbol == a.vendor_symbol) for a in asks}


def ended(trouble: Trouble, secret: str) -> FrameReading:
    """Return the reading of what ends a connection. What speaks of symbols only, elsewhere, is an outage here."""
    verdict = Verdict.OUTAGE if trouble.verdict in _NOT_OF_A_CONNECTION else trouble.verdict
    return FrameReading(verdict, detail=without((secret,), trouble.text), retry_after_s=trouble.retry_after_s)


def ended_by_reply(trouble: Trouble, secret: str, reply: Reply) -> FrameReading:
    """Return the reading of an HTTP reply in place of an open socket, with the wait that it asks for."""
    asked = retry_after_s(header(reply, "retry-after"), reply.received_ms)
    waits = [wait for wait in (trouble.retry_after_s, asked) if wait is not None]
    return ended(Trouble(trouble.verdict, trouble.text, max(waits, default=None)), secret)


def not_understood(what: str) -> FrameReading:
    """Return the reading of a frame that is none of the vendor's."""
    return FrameReading(Verdict.OUTAGE, detail=f"not a frame of this stream: {what}")
