"""What Yahoo's errors say: JSON error objects, plain text, HTML."""

from dataclasses import replace

from collector.vendors.answers import Trouble, untold
from collector.vendors.base import Reply, Verdict
from collector.vendors.bodies import Json, JsonObject, looks_like_markup, text_at

# Nothing is published and Retry-After is not sent. A measured block lasted more than 15 minutes, on everything
# that was asked from the address.
_BLOCKED_S = 900.0
_BLOCKED = (429, 999)  # 999, "request denied", is what it sent before 429
_WRAPPERS = ("finance", "quoteResponse", "chart", "spark")


def trouble_in(content: JsonObject | None, reply: Reply) -> Trouble | None:
    """Return what is wrong with the reply; None if its JSON holds no error."""
    if content is None:
        return _of_text(reply)
    for wrapper in _WRAPPERS:
        wrapped = content.get(wrapper)
        error = wrapped.get("error") if isinstance(wrapped, dict) else None
        if error is not None:
            return _of_error(error, reply)
    return None if any(wrapper in content for wrapper in _WRAPPERS) else _of_status(reply)


def _of_text(reply: Reply) -> Trouble:
    if b"too many requests" in reply.body[:2_000].lower() and not looks_like_markup(reply.body):
        return _blocked(reply)
    return _of_status(reply)


def _of_status(reply: Reply) -> Trouble:
    if reply.status in _BLOCKED:
        return _blocked(reply)
    told = untold(reply)
    return replace(told, verdict=Verdict.BAD_SESSION) if reply.status == 401 else told


def _blocked(reply: Reply) -> Trouble:
    return Trouble(Verdict.RATE_LIMITED, f"blocked: too many requests, status {reply.status}", _BLOCKED_S)


def _of_error(error: Json, reply: Reply) -> Trouble:
    code, description = (text_at(error, "code"), text_at(error, "description")) if isinstance(error, dict) else ("", "")
    text = f"{code}: {description}" if code or description else f"an error without words, status {reply.status}"
    verdict = _verdict(code.lower(), description.lower())
    if verdict is Verdict.RATE_LIMITED:
        return Trouble(verdict, text, _BLOCKED_S)
    if verdict is not None:
        return Trouble(verdict, text)
    return replace(_of_status(reply), text=text)


def _verdict(code: str, description: str) -> Verdict | None:
    if "too many requests" in f"{code} {description}" or "rate limit" in description:
        return Verdict.RATE_LIMITED
    if code == "unauthorized" or "invalid crumb" in description or "invalid cookie" in description:
        return Verdict.BAD_SESSION
    if "must be within the last" in description or "data doesn't exist" in description:
        return Verdict.NO_DATA  # older than the vendor keeps that granularity, or before the instrument existed
    if code == "not found" and not description.startswith("http 404"):  # "HTTP 404": the path itself is gone
        return Verdict.UNKNOWN_SYMBOL
    if code in ("unprocessable entity", "bad request", "argument-error"):
        return Verdict.BAD_REQUEST
    return None
