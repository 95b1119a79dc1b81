"""What Polygon's error bodies say."""

import re

from collector.vendors import answers
from collector.vendors.answers import Trouble
from collector.vendors.base import Reply, Verdict
from collector.vendors.bodies import JsonObject, text_at
from collector.vendors.times import until_next_minute_s

_TOO_MANY = re.compile(r"maximum requests|too many|rate limit|exceeded")
_ERRORS = frozenset({"ERROR", "NOT_FOUND", "NOT_AUTHORIZED"})
"""Of `status`. The good ones are many: OK, DELAYED, success, ... and none at all."""


def untold(reply: Reply) -> Trouble:
    """Return what the status says of a reply whose body says nothing that we know."""
    return answers.untold(reply, until_next_minute_s(reply.received_ms))


def trouble_in(content: JsonObject, reply: Reply) -> Trouble | None:
    """Return what an error body says; None if it is none. The text stands in `error` or in `message`."""
    status = text_at(content, "status")
    text = text_at(content, "error") or text_at(content, "message")
    if status not in _ERRORS and not (text and "results" not in content and "tickers" not in content):
        return None
    verdict = verdict_of(status, text.lower()) or _of_status(reply)
    wait_s = until_next_minute_s(reply.received_ms) if verdict is Verdict.RATE_LIMITED else None
    return Trouble(verdict, f"{status}: {text}", wait_s)


def verdict_of(status: str, said: str) -> Verdict | None:
    """Return the sense of an error's status and text (in lower case); None if it has none that we know."""
    if _TOO_MANY.search(said):  # before "upgrade", which it advertises as well
        return Verdict.RATE_LIMITED
    if "api key" in said:
        return Verdict.BAD_KEY
    if "data timeframe" in said or "before end of day" in said:  # the future, today, or more years than the plan has
        return Verdict.NO_DATA
    if status == "NOT_AUTHORIZED" or "not entitled" in said or "upgrade" in said:
        return Verdict.NOT_ENTITLED
    if status == "NOT_FOUND" or "ticker not found" in said:
        return Verdict.UNKNOWN_SYMBOL
    if "could not parse" in said:
        return Verdict.BAD_REQUEST
    return None


def _of_status(reply: Reply) -> Verdict:
    match reply.status:
        case 400:
            return Verdict.BAD_REQUEST
        case 403:
            return Verdict.NOT_ENTITLED
    return untold(reply).verdict
