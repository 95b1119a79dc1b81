"""Polygon's aggregates: pages of bars, counted in base bars."""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from urllib.parse import parse_qsl

import numpy as np

from simulator.instruments import Instrument
from simulator.limits import DAY_MS, MINUTE_MS
from simulator.ticks import NO_BARS, Bars
from simulator.wire import Call

_WIDTHS_MS = {"second": 1000, "minute": MINUTE_MS, "hour": 60 * MINUTE_MS, "day": DAY_MS}
_BASE_MS = {"second": 1000, "minute": MINUTE_MS, "hour": MINUTE_MS, "day": DAY_MS}
"""What `limit` counts."""
_DEFAULT_LIMIT = 5000
_LARGEST_LIMIT = 50_000


@dataclass(frozen=True)
class Page:
    """One page of aggregates, without the request's id."""

    body: dict[str, object]
    starts_ms: int
    next_url: str | None


@dataclass(frozen=True)
class _Ask:
    ticker: str
    width_ms: int
    base_ms: int
    from_ms: int
    to_ms: int
    limit: int
    ascending: bool
    span: tuple[str, str, str, str]


def number(value: float) -> float | int:
    """Return a number as Go spells it: no ".0"."""
    return int(value) if value == int(value) else value


def _time(name: str, text: str, *, ends: bool) -> int | str:
    """Return the time of a range's end in ms (of a date its last ms), or the error's text."""
    if re.fullmatch(r"\d{9,14}", text):
        return int(text)
    try:
        at = int(datetime.combine(date.fromisoformat(text), time(), UTC).timestamp() * 1000)
    except ValueError:
        return f"Could not parse the time parameter: '{name}'. Use YYYY-MM-DD or Unix MS Timestamps"
    return at + DAY_MS - 1 if ends else at


def _options(call: Call) -> dict[str, str]:
    """Return limit and sort, from the cursor on a further page."""
    cursor = call.params.get("cursor")
    if cursor is None:
        return dict(call.params)
    padded = cursor + "=" * (-len(cursor) % 4)
    return dict(parse_qsl(base64.urlsafe_b64decode(padded).decode("ascii", "replace")))


def _ask(call: Call, ticker: str, span: tuple[str, str, str, str]) -> _Ask | str:
    multiplier, timespan, first, last = span
    if timespan not in _WIDTHS_MS or not re.fullmatch(r"[1-9]\d{0,4}", multiplier):
        return f"Could not parse the range: expected 1 or more of {', '.join(_WIDTHS_MS)}"
    from_ms, to_ms = _time("from", first, ends=False), _time("to", last, ends=True)
    if isinstance(from_ms, str) or isinstance(to_ms, str):
        return from_ms if isinstance(from_ms, str) else str(to_ms)
    try:
        options = _options(call)
        limit = min(_LARGEST_LIMIT, int(options.get("limit", _DEFAULT_LIMIT)))
    except ValueError:
        return "Could not parse the parameter: 'limit' or 'cursor'"
    if limit < 1:
        return "The parameter 'limit' must be 1 or more"
    width_ms = _WIDTHS_MS[timespan] * int(multiplier)
    ascending = options.get("sort", "asc") != "desc"
    return _Ask(ticker, width_ms, _BASE_MS[timespan], from_ms, to_ms, limit, ascending, span)


def _page_of(ask: _Ask, bars: Bars) -> tuple[Bars, int | None]:
    """Return the bars of this page, and the open time of the first one that is not on it."""
    fit = max(1, ask.limit // max(1, ask.width_ms // ask.base_ms))
    if len(bars) <= fit:
        return bars, None
    if ask.ascending:
        return bars.part(0, fit), int(bars.open_ms[fit])
    return bars.part(len(bars) - fit, len(bars)), int(bars.open_ms[len(bars) - fit - 1])


def _next_url(call: Call, ask: _Ask, next_ms: int | None) -> str | None:
    if next_ms is None:
        return None
    multiplier, timespan, _, _ = ask.span
    first, last = (next_ms, ask.to_ms) if ask.ascending else (ask.from_ms, next_ms)
    options = f"limit={ask.limit}&sort={'asc' if ask.ascending else 'desc'}"
    cursor = base64.urlsafe_b64encode(options.encode()).decode().rstrip("=")
    return f"{call.base}/v2/aggs/ticker/{ask.ticker}/range/{multiplier}/{timespan}/{first}/{last}?cursor={cursor}"


def _rows(bars: Bars, *, index: bool) -> list[dict[str, float | int]]:
    """Return the rows, oldest first; those of an index have prices only."""
    columns = [column.tolist() for column in (bars.open, bars.high, bars.low, bars.close)]
    middle = np.round((bars.open + bars.high + bars.low + bars.close) / 4, 4).tolist()
    rows: list[dict[str, float | int]] = []
    for place, (opened, high, low, close) in enumerate(zip(*columns, strict=True)):
        prices = {"o": number(opened), "c": number(close), "h": number(high), "l": number(low)}
        stamp = int(bars.open_ms[place])
        if index:
            rows.append({**prices, "t": stamp})
        else:
            count = int(bars.ticks[place])
            rows.append({"v": count, "vw": number(middle[place]), **prices, "t": stamp, "n": count})
    return rows


def aggregates(
    call: Call, instrument: Instrument | None, ticker: str, span: tuple[str, str, str, str], until_ms: int
) -> Page | str:
    """Return one page, or the text of the error. Nothing from `until_ms` on is told."""
    ask = _ask(call, ticker, span)
    if isinstance(ask, str):
        return ask
    bars = NO_BARS
    if instrument is not None:
        bars = call.view.bars(instrument, ask.width_ms, ask.from_ms, min(ask.to_ms + 1, until_ms))
    bars, next_ms = _page_of(ask, bars)
    index = ticker.startswith("I:")
    rows = _rows(bars, index=index)
    body: dict[str, object] = {"ticker": ticker, "queryCount": len(rows)}
    if not index:
        body |= {"resultsCount": len(rows), "adjusted": True}
    if rows:
        body["results"] = rows if ask.ascending else rows[::-1]
    return Page(body | {"status": "OK"}, ask.from_ms, _next_url(call, ask, next_ms))
