"""WebSockets that misbehave on demand: refused handshakes, spoiled frames."""

import random
from dataclasses import replace

from simulator import asgi
from simulator.asgi import Receive, Scope
from simulator.faults import Fault
from simulator.wire import Answer, Call, Vendor

_FOUND, _FORBIDDEN = 302, 403


def refusal(fault: Fault, vendor: Vendor, call: Call) -> Answer | None:
    """Return the HTTP reply that a struck handshake gets; None if it gets no reply at all."""
    match fault.order.fault:
        case "403":
            return Answer(_FORBIDDEN, b"Forbidden", "text/plain")
        case "429":
            return replace(vendor.rate_limited(call), status=429)
        case "500":
            return replace(vendor.server_error(call), status=int(fault.value))
        case "html":
            return asgi.spoiled(Answer(200, b""), "html", 0)
        case "redirect":
            return Answer(_FOUND, b"", headers=(("location", "ws://127.0.0.1:9/elsewhere"),))
    return None


async def no_reply(fault: Fault, scope: Scope, receive: Receive) -> None:
    """Let a handshake hang, or break its connection."""
    if fault.order.fault == "hang":
        await asgi.hang(receive)
    else:
        await asgi.reset(scope)


def spoiled_text(text: str, fault: Fault) -> str:
    """Return what is sent in place of a frame: noise, or half of it. Of base64 the half ends where none can end."""
    if fault.order.fault == "garbage":
        return "".join(random.Random(fault.hits).choices('\x01\t #{["\\u00e9}:,0aZ~é', k=max(16, len(text) // 2)))
    head, quote, _ = text.rpartition('":"') if text.startswith('{"type"') else ("", "", "")
    begin = len(head) + len(quote)
    return text[: begin + (len(text) - begin) // 8 * 4 + 1] + ('"}' if quote else "")
