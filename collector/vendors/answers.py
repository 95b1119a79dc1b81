"""Make readings of what was found: quotes, refusals by symbol, refusals of the whole reply."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from collector.vendors.base import Ask, HistoryReading, Reading, Reply, Request, Verdict
from collector.vendors.bodies import looks_like_markup
from collector.vendors.numbers import printable
from collector.vendors.times import retry_after_s
from common.messages import RawBar, RawQuote

_DETAIL_CHARS = 300
_SECRET_PARAMS = frozenset({"apikey", "crumb"})
_ECHOED_KEY = re.compile(r"""(?i)((?:api[ _-]?key|crumb)["']?(?: as |[ =:]*[=:])["' ]*)[^\s&"'<>]+""")
"""Vendors write a caller's key into their texts ("your API key as ..."), maybe not the key of this request."""

OF_THE_SYMBOL = frozenset({Verdict.UNKNOWN_SYMBOL, Verdict.NOT_ENTITLED, Verdict.NO_DATA})


@dataclass(frozen=True)
class Trouble:
    """Why there is no quote or bar: for one symbol, or for a whole reply."""

    verdict: Verdict
    text: str
    """Our words, or the vendor's: not yet redacted."""
    retry_after_s: float | None = None


def untold(reply: Reply, wait_s: float | None = None) -> Trouble:
    """Return what the status says of a reply whose body says nothing that we know; `wait_s` is for "too many"."""
    seen = f"status {reply.status}, {len(reply.body)} bytes of {reply.headers.get('content-type', 'no content type')}"
    if reply.status == 429:
        return Trouble(Verdict.RATE_LIMITED, seen, wait_s)
    if reply.status == 401 and not looks_like_markup(reply.body):
        return Trouble(Verdict.BAD_KEY, seen)
    return Trouble(Verdict.OUTAGE, f"not an answer: {seen}")


def gathered(
    request: Request, reply: Reply, found: Mapping[str, RawQuote | Trouble], credits_left: int | None = None
) -> Reading:
    """Return the reading of a reply that speaks of each symbol: `found` has every generic symbol of the request."""
    quotes = tuple(q for a in request.asks if isinstance(q := found[a.symbol], RawQuote))
    troubles = {a.symbol: t for a in request.asks if isinstance(t := found[a.symbol], Trouble)}
    text = "; ".join(f"{symbol}: {t.text}" for symbol, t in troubles.items())
    waits = [t.retry_after_s for t in troubles.values() if t.retry_after_s is not None]
    worst = _worst([t.verdict for t in troubles.values()])
    if not quotes and worst not in OF_THE_SYMBOL:
        return refusal(request, reply, Trouble(worst, text, max(waits, default=None)), credits_left)
    return Reading(
        verdict=Verdict.OK if quotes else worst,
        quotes=quotes,
        refused={symbol: t.verdict for symbol, t in troubles.items()},
        detail=redacted(text, request),
        retry_after_s=max(waits, default=None),
        credits_left=credits_left,
    )


def _worst(verdicts: list[Verdict]) -> Verdict:
    """Return the vendor's own trouble before the symbols', and NO_DATA where the symbols' differ."""
    if not verdicts:
        return Verdict.NO_DATA
    of_the_vendor = [v for v in verdicts if v not in OF_THE_SYMBOL]
    return of_the_vendor[0] if of_the_vendor else verdicts[0] if len(set(verdicts)) == 1 else Verdict.NO_DATA


def refusal(request: Request, reply: Reply, trouble: Trouble, credits_left: int | None = None) -> Reading:
    """Return the reading of a reply that holds no quote at all, for one reason."""
    of_the_symbol = trouble.verdict in OF_THE_SYMBOL
    return Reading(
        verdict=trouble.verdict,
        refused={a.symbol: trouble.verdict for a in request.asks} if of_the_symbol else {},
        detail=redacted(trouble.text, request),
        retry_after_s=_wait_s(trouble, reply),
        credits_left=credits_left,
    )


def no_history(request: Request, reply: Reply, trouble: Trouble, credits_left: int | None = None) -> HistoryReading:
    """Return the reading of a reply that holds no bar, for one reason."""
    return HistoryReading(
        verdict=trouble.verdict,
        detail=redacted(trouble.text, request),
        retry_after_s=_wait_s(trouble, reply),
        credits_left=credits_left,
    )


def history(
    request: Request,
    bars: tuple[RawBar, ...],
    detail: str,
    credits_left: int | None = None,
    rest: Request | None = None,
) -> HistoryReading:
    """Return the reading of a reply that speaks of bars: NO_DATA if none of them is left."""
    verdict = Verdict.OK if bars else Verdict.NO_DATA
    return HistoryReading(verdict, bars, redacted(detail, request), credits_left=credits_left, next=rest)


def _wait_s(trouble: Trouble, reply: Reply) -> float | None:
    asked = retry_after_s(header(reply, "retry-after"), reply.received_ms)
    waits = [wait for wait in (trouble.retry_after_s, asked) if wait is not None]
    return max(waits, default=None)


def header(reply: Reply, name: str) -> str:
    """Return a header's value whatever the case of its name; an empty string if there is none."""
    return next((value.strip() for key, value in reply.headers.items() if key.lower() == name), "")


def credits_left(reply: Reply, name: str) -> int | None:
    """Return the count in a header; None if it is not there or no count."""
    value = header(reply, name)
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= 9 else None


def redacted(text: str, request: Request) -> str:
    """Return the text on one line, without any key or token that the request carried or a vendor spells out."""
    of_params = {value for name, value in request.params if name.lower() in _SECRET_PARAMS}
    of_headers = {value.split(" ")[-1] for name, value in request.headers if name.lower() == "authorization"}
    return without(of_params | of_headers, text)


def without(secrets: Iterable[str], text: str) -> str:
    """Return the text on one line, without the secrets in any spelling and without a key that a vendor spells out."""
    line = printable(text)
    spelled = {spelling for secret in secrets if secret for spelling in (printable(secret), quote(secret, safe=""))}
    for secret in sorted(spelled, key=len, reverse=True):
        line = re.sub(re.escape(secret), "***", line, flags=re.IGNORECASE)
    return _ECHOED_KEY.sub(r"\1***", line)[:_DETAIL_CHARS]


def volume_is_told(ask: Ask) -> bool:
    """Tell whether a volume of this instrument means anything."""
    return ask.volume_kind != "none"
