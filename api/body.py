"""Read the body of a POST as its client meant it: the first JSON object in it, whatever the headers say."""

import asyncio
import json
import re

import msgspec
from starlette.requests import Request

from api.errors import ApiError, invalid

BODY_READ = "body_read"
"""In the scope's state: whether nothing of the body is left on the connection."""
LARGEST_BODY = 64 * 1024
WHOLE_WITHIN_S = 3.0  # the client gives up after 5 s
# MetaTrader prints a number that is none as "nan", "-nan(ind)" or "inf". A fill must not be lost for that.
_NO_NUMBER = re.compile(r"(?<=[:,\[ ])[+-]?(?:nan(?:\(ind\))?|inf(?:inity)?)(?=\s*[,}\]])", re.IGNORECASE)
_LARGEST_INT = 2**63


async def first_object(request: Request) -> dict[str, object]:
    """Return the first JSON value of the body, which must be an object; the tail is ignored.

    Answered as soon as the object is complete: a length that was declared too long isn't waited for. ApiError 400, 408,
    413 or 422.
    """
    try:
        async with asyncio.timeout(WHOLE_WITHIN_S):
            return await _read(request)
    except TimeoutError as e:
        raise ApiError(408, "body_incomplete", f"no complete JSON object within {WHOLE_WITHIN_S:.0f} s") from e


async def _read(request: Request) -> dict[str, object]:
    received, more = b"", True
    while more:
        message = await request.receive()
        chunk: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        received += chunk
        if len(received) > LARGEST_BODY:
            raise ApiError(413, "body_too_large", "body is too large", f"at most {LARGEST_BODY} bytes")
        found = _parsed(received) if b"}" in chunk else None
        if found is not None:
            request.scope.setdefault("state", {})[BODY_READ] = not more
            return found
    request.scope.setdefault("state", {})[BODY_READ] = True
    raise _why_not(received)


def parse_first(received: bytes) -> dict[str, object]:
    """Return the first JSON value of a whole body, which must be an object. ApiError 400 or 422."""
    found = _parsed(received)
    if found is None:
        raise _why_not(received)
    return found


def _parsed(received: bytes) -> dict[str, object] | None:
    """Return the object, or None if there is no complete one (yet)."""
    text = _text(received)
    try:
        value, _ = _decoded(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        raise invalid("body is not a JSON object", "a JSON object", type(value).__name__)
    try:
        msgspec.json.encode(value)
    except (UnicodeEncodeError, RecursionError, msgspec.MsgspecError) as e:
        raise invalid("body holds text that is no text", "valid Unicode", type(e).__name__) from e
    return value


def _decoded(text: str) -> tuple[object, int]:
    try:
        return _decoder.raw_decode(text)
    except ValueError:
        return _decoder.raw_decode(_NO_NUMBER.sub("null", text))


def _text(received: bytes) -> str:
    try:
        text = received.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = received.decode("cp1252", errors="replace")
    return text.lstrip(" \t\r\n\0")


def _why_not(received: bytes) -> ApiError:
    text = _text(received)
    return ApiError(400, "bad_json", "body is not complete JSON", "a JSON object", text[:60] or "an empty body")


def _whole(text: str) -> int | str:
    number = int(text) if len(text) < 20 else _LARGEST_INT
    return number if abs(number) < _LARGEST_INT else text


def _real(text: str) -> float | str:
    number = float(text)
    return number if abs(number) != float("inf") else text


_decoder = json.JSONDecoder(parse_int=_whole, parse_float=_real, parse_constant=lambda _: None)
