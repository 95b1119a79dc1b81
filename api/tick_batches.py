"""What the body of POST /api/ticks means: pure functions from a JSON object to a checked batch of ticks in UTC."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from api.errors import ApiError, invalid, shown
from api.reports import Body, fingerprint
from common.messages import TerminalTick
from common.symbols import TERMINAL, Symbol, SymbolTable

LARGEST_BATCH = 500
"""Ticks in one request: as many as the largest body holds."""
QUARTER_S = 900
"""Every broker's clock is whole quarter hours away from UTC ..."""
FURTHEST_OFFSET_S = 14 * 3600
"""... and no further than this."""
SAME_CONTENT_MS = 10_000
"""A batch without a name that says the same within this is the same one. Below the 30 s that a terminal may be silent:
one that repeats an unchanged price is alive."""

_NAME = re.compile(r"[!-~]{1,64}")
_EARLIEST_MS, _LATEST_MS = 946_684_800_000, 4_102_444_800_000  # 2000 to 2100: seconds are outside
_OFFSET = f"whole seconds, a multiple of {QUARTER_S} from -{FURTHEST_OFFSET_S} to {FURTHEST_OFFSET_S}, such as 7200"
_OFFSET_OR_TIME = "gmt_offset_s (the broker's clock less UTC, in seconds), or time_gmt_msc (TimeGMT() * 1000)"
_TIME = "the broker's clock as whole milliseconds since 1970, such as MqlTick.time_msc"


@dataclass(frozen=True)
class TickBatch:
    """One checked request."""

    account: str
    offset_s: int | None
    """The broker's clock less UTC; None where no tick needed it."""
    ticks: tuple[TerminalTick, ...]
    """In the order of the request, in UTC."""
    present: tuple[Symbol, ...]
    """What the terminal watches, in the table's order."""
    identity: str
    """The same for the same request sent again."""


def fed_by_terminal(table: SymbolTable) -> dict[str, Symbol]:
    """Return the symbols that a terminal may feed, by each of their names: generic, the broker's, the listing's."""
    names: dict[str, Symbol] = {}
    for symbol in table.symbols.values():
        for listing in symbol.sources:
            if listing.vendor == TERMINAL:
                names |= dict.fromkeys((symbol.broker, listing.symbol), symbol)
    return names | {symbol.name: symbol for symbol in names.values()}


def batch_of(body: Body, names: Mapping[str, Symbol], stream_ms: int) -> TickBatch:
    """Return the batch. ApiError 422 names the field that is wrong.

    names: as fed_by_terminal gives them. stream_ms: when it came; batches without a name are told apart by it.
    """
    rows = _rows(body)
    offset_s = _offset_s(body, [_time_ms(row, "time_msc", f"ticks[{i}].") for i, row in enumerate(rows)])
    ticks = tuple(_tick(row, f"ticks[{i}].", names, offset_s or 0) for i, row in enumerate(rows))
    watched = {_symbol(name, f"symbols[{i}]", names).name for i, name in enumerate(_list(body, "symbols"))}
    watched |= {tick.symbol for tick in ticks}
    if not watched:
        raise invalid("ticks and symbols are both empty", "a tick, or the name of a symbol that is watched", "neither")
    present = {symbol.name: symbol for symbol in names.values() if symbol.name in watched}
    account = _text(body, "account")
    return TickBatch(account, offset_s, ticks, tuple(present.values()), _identity(body, account, stream_ms))


def _rows(body: Body) -> list[Body]:
    rows = _list(body, "ticks")
    if len(rows) > LARGEST_BATCH:
        raise invalid("ticks is too long", f"at most {LARGEST_BATCH} ticks", f"{len(rows)} ticks")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise invalid(f"ticks[{index}] is wrong", "a JSON object", shown(row))
    return cast(list[Body], rows)


def _tick(row: Body, place: str, names: Mapping[str, Symbol], offset_s: int) -> TerminalTick:
    return TerminalTick(
        symbol=_symbol(row.get("symbol"), f"{place}symbol", names).name,
        market_ms=_time_ms(row, "time_msc", place) - offset_s * 1000,
        bid=_price(row, "bid", place),
        ask=_price(row, "ask", place),
        last=_amount(row, "last", place),
        volume=_amount(row, "volume", place),
    )


def _offset_s(body: Body, times_ms: Sequence[int]) -> int | None:
    """Return the offset as it is given, else as the terminal's two clocks tell it."""
    given = body.get("gmt_offset_s")
    if given is not None:
        seconds = _whole(given)
        if seconds is None or seconds % QUARTER_S or abs(seconds) > FURTHEST_OFFSET_S:
            raise invalid("gmt_offset_s is wrong", _OFFSET, shown(given))
        return seconds
    if not times_ms:
        return None
    if body.get("time_gmt_msc") is None:
        raise invalid("gmt_offset_s is missing", _OFFSET_OR_TIME, "neither")
    told = body.get("time_server_msc") is not None
    server_ms = _time_ms(body, "time_server_msc", "") if told else max(times_ms)
    quarters = round((server_ms - _time_ms(body, "time_gmt_msc", "")) / (QUARTER_S * 1000))
    if abs(quarters * QUARTER_S) > FURTHEST_OFFSET_S:
        raise _no_offset(quarters * QUARTER_S, told=told)
    return quarters * QUARTER_S


def _no_offset(seconds: int, *, told: bool) -> ApiError:
    clocks = "time_server_msc and time_gmt_msc" if told else "the newest tick's time_msc and time_gmt_msc"
    hint = "" if told else "; where no tick is fresh, send gmt_offset_s or time_server_msc too"
    expected = f"{clocks} at most {FURTHEST_OFFSET_S} s apart{hint}"
    return invalid("gmt_offset_s can't be measured", expected, f"{seconds} s")


def _identity(body: Body, account: str, stream_ms: int) -> str:
    name = _text(body, "batch")
    content = fingerprint(body)
    return f"{account}:{name}:{content}" if name else f"{account}::{content}:{stream_ms // SAME_CONTENT_MS}"


def _symbol(value: object, place: str, names: Mapping[str, Symbol]) -> Symbol:
    found = names.get(value) if isinstance(value, str) else None
    if found is None:
        expected = "one of " + ", ".join(sorted(names))
        raise invalid(f"{place} is not a symbol that the terminal feeds here", expected, shown(value))
    return found


def _list(body: Body, key: str) -> list[object]:
    value = body.get(key)
    if value is None and key == "symbols":
        return []
    if not isinstance(value, list):
        raise invalid(f"{key} is wrong", "a list", shown(value))
    return value


def _text(body: Body, key: str) -> str:
    """Return a name that may be missing. An account's number counts as one."""
    value = body.get(key)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if text is None or text == "":
        return ""
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise invalid(f"{key} is wrong", "1 to 64 printable ASCII characters without blanks", shown(value))
    return text


def _time_ms(row: Body, key: str, place: str) -> int:
    value = _whole(row.get(key))
    if value is None or not _EARLIEST_MS <= value <= _LATEST_MS:
        raise invalid(f"{place}{key} is wrong", _TIME, shown(row.get(key)))
    return value


def _price(row: Body, key: str, place: str) -> float:
    value = row.get(key)
    if not _is_number(value) or not cast(float, value) > 0:
        raise invalid(f"{place}{key} is wrong", "a price above 0", shown(value))
    return float(cast(float, value))


def _amount(row: Body, key: str, place: str) -> float | None:
    """Return a number that may be missing; None for the 0 that MetaTrader writes then."""
    value = row.get(key)
    if value is None:
        return None
    if not _is_number(value) or not cast(float, value) >= 0:
        raise invalid(f"{place}{key} is wrong", "a number, or 0 for none", shown(value))
    return float(cast(float, value)) or None


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        return None
    return int(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
