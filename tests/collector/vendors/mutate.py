"""Damage a good reply in the ways that the network, a proxy or a vendor's release may."""

import base64
import binascii
import copy
import json
import re
from random import Random

from collector.vendors.base import Reply
from collector.vendors.bodies import Json

ODD: tuple[Json, ...] = (
    None, True, False, 0, -1, 10**400, 1e308, -0.0, 2**63, "", "-", "NaN", "Infinity", "1_000", "\u0661", "\ud800",
    "<html>", "x" * 3_000, [], {}, [[]], [None], {"error": {}}, {"code": 429}, "ERROR", "2030-02-30 00:00:00",
)  # fmt: skip
STATUSES = (0, 100, 200, 204, 301, 307, 400, 401, 403, 404, 414, 418, 422, 429, 500, 502, 503, 599)
CONTENT_TYPES = ("text/html", "application/json", "text/plain;charset=utf-16", "\u00e9", "", "image/png")
WORDS = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"null",
    b"true",
    b'"-"',
    b"9" * 5_000,
    b"\x00",
    b"\xff",
    b"{",
    b"]",
)
_PACKED = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


def mutated(reply: Reply, source: Random) -> Reply:
    """Return the reply with one to three kinds of damage."""
    body, status, headers = reply.body, reply.status, dict(reply.headers)
    for _ in range(source.randint(1, 3)):
        kind = source.randrange(6)
        if kind == 0:
            status = source.choice(STATUSES)
        elif kind == 1:
            headers = {
                "Content-Type": source.choice(CONTENT_TYPES),
                "retry-after": source.choice(("", "x", "5", "\u00b2")),
            }
        elif kind == 2:
            body = _bytes_damaged(body, source)
        else:
            body = _values_damaged(body, source)
    return Reply(status, headers, body, source.choice((0, reply.received_ms, reply.received_ms, 2**53)))


def mutated_frame(text: str, source: Random) -> str | bytes:
    """Return the frame with one to three kinds of damage; what is packed inside in base64 is damaged in there, too."""
    content = text.encode()
    for _ in range(source.randint(1, 3)):
        kind = source.randrange(3)
        if kind == 0:
            content = _bytes_damaged(content, source)
        elif kind == 1:
            content = _values_damaged(content, source)
        else:
            content = _PACKED.sub(lambda found: _repacked(found[0], source), content, count=1)
    return content if source.random() < 0.5 else content.decode("utf-8", "surrogateescape")


def _repacked(encoded: bytes, source: Random) -> bytes:
    try:
        return base64.b64encode(_bytes_damaged(base64.b64decode(encoded, validate=True), source)[:4_000])
    except binascii.Error:
        return encoded


def _bytes_damaged(body: bytes, source: Random) -> bytes:
    place = source.randint(0, max(0, len(body) - 1))
    kind = source.randrange(4)
    if kind == 0:
        return body[:place]
    if kind == 1:
        return body[:place] + bytes([source.randrange(256)]) + body[place + 1 :]
    if kind == 2:
        return body[:place] + source.choice(WORDS) + body[place + source.randint(0, 9) :]
    return source.choice(
        (b"", b"\xef\xbb\xbf" + body, body * 2, b"<!DOCTYPE html>" + body, b"[" * 5_000, b"[" + body + b"]")
    )


def _values_damaged(body: bytes, source: Random) -> bytes:
    """Delete, rename, replace or double one value somewhere inside; the body itself if it is no JSON."""
    try:
        content: Json = json.loads(body)
    except (ValueError, RecursionError):
        return body
    holder = source.choice(_holders(content) or [{}])
    if isinstance(holder, dict) and holder:
        _change_key(holder, source.choice(sorted(holder)), source)
    elif isinstance(holder, list) and holder:
        _change_item(holder, source.randrange(len(holder)), source)
    return json.dumps(content).encode()


def _holders(content: Json) -> list[dict[str, Json] | list[Json]]:
    """Return every object and list in the value, itself included."""
    if isinstance(content, dict):
        return [content, *(h for value in content.values() for h in _holders(value))]
    if isinstance(content, list):
        return [content, *(h for value in content for h in _holders(value))]
    return []


def _change_key(holder: dict[str, Json], key: str, source: Random) -> None:
    kind = source.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1:
        holder[source.choice((key.upper(), key + "s", "", "error", "code", "status"))] = holder.pop(key)
    elif kind == 2:
        holder[key] = copy.deepcopy(source.choice(ODD))
    else:
        holder[key] = [holder[key]] if source.random() < 0.5 else {"value": holder[key]}


def _change_item(holder: list[Json], place: int, source: Random) -> None:
    kind = source.randrange(3)
    if kind == 0:
        del holder[place]
    elif kind == 1:
        holder[place] = copy.deepcopy(source.choice(ODD))
    else:
        holder.insert(place, copy.deepcopy(holder[place]))
