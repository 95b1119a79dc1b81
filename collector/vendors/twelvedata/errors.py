"""What Twelve Data's error objects say: as a body, under a symbol's key, in a frame."""

import re

from collector.vendors import answers
from collector.vendors.answers import Trouble
from collector.vendors.base import Reply, Verdict
from collector.vendors.bodies import Json, JsonObject, list_at, text_at
from collector.vendors.numbers import number
from collector.vendors.times import until_next_day_s, until_next_minute_s

_READ_CHARS = 1_000
_PLAN = re.compile(r"available starting with|\b(grow|venture|pro|ultra|enterprise)\b.*\bplan")
_TOO_MANY = re.compile(r"limit|exceed|too many|maximum|run out|credits were used")
NO_ACCESS = re.compile(r"authori[sz]ed|access|plan\b|permission|upgrade|grow|venture|\bpro\b")
_NOT_A_SYMBOL = re.compile(r"symbol\W.*(not found|missing or invalid)")


def untold(reply: Reply) -> Trouble:
    """Return what the status says of a reply whose body says nothing that we know."""
    return answers.untold(reply, until_next_minute_s(reply.received_ms))


def trouble_in(content: JsonObject, reply: Reply) -> Trouble | None:
    """Return what an error object says, at the top or under a symbol's key; None if it is none."""
    code = content.get("code")
    if text_at(content, "status") != "error" and not (code is not None and "message" in content):
        return None
    known = number(code)
    return trouble(int(known) if isinstance(known, float) else reply.status, words_of(content), reply.received_ms)


def words_of(item: Json) -> str:
    """Return the text of an object, wherever this vendor puts it: seen in `message`, `messages`, `msg`, `reason`."""
    if not isinstance(item, dict):
        return ""
    listed = [words for words in list_at(item, "messages") if isinstance(words, str)]
    return next((words for name in ("message", "msg", "reason") if (words := text_at(item, name))), " ".join(listed))


def trouble(code: int, text: str, received_ms: int) -> Trouble:
    """Return the sense of an error by its code, and by its text where the code has several or is 0: none."""
    said, shown = text[:_READ_CHARS].lower(), f"{code}: {text}" if code else text or "an error without words"
    verdict = _verdict(code, said) or by_text(said) or Verdict.OUTAGE
    if verdict is not Verdict.RATE_LIMITED:
        return Trouble(verdict, shown)
    of_the_day = "for the day" in said or "per day" in said or "daily" in said
    return Trouble(verdict, shown, until_next_day_s(received_ms) if of_the_day else until_next_minute_s(received_ms))


def by_text(said: str) -> Verdict | None:
    """Return the sense of an error's text (in lower case) alone; None if it has none that we know."""
    if ("apikey" in said or "api key" in said) and not _TOO_MANY.search(said):
        return Verdict.BAD_KEY
    if _TOO_MANY.search(said):
        return Verdict.RATE_LIMITED
    if NO_ACCESS.search(said):
        return Verdict.NOT_ENTITLED
    return Verdict.BAD_REQUEST if "parse" in said else None


def _verdict(code: int, said: str) -> Verdict | None:
    match code:
        case 429:
            return Verdict.RATE_LIMITED
        case 401:
            return Verdict.BAD_KEY
        case 403:
            return Verdict.BAD_KEY if "demo" in said else Verdict.NOT_ENTITLED
        case 404:
            return Verdict.NOT_ENTITLED if _PLAN.search(said) else Verdict.UNKNOWN_SYMBOL
        case 400 | 422 if "no data" in said:
            return Verdict.NO_DATA
        case 400 if _NOT_A_SYMBOL.search(said):
            return Verdict.UNKNOWN_SYMBOL
        case 400 | 414 | 422:
            return Verdict.BAD_REQUEST
    return Verdict.OUTAGE if code >= 500 else None
