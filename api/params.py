"""Read and check what stands in a query: pure functions that raise ApiError (422) with what was expected and found."""

import math
import re
from collections.abc import Sequence
from datetime import datetime

from starlette.datastructures import QueryParams

from api.errors import ApiError, invalid
from common.symbols import Symbol, SymbolTable

LARGEST_EQUITY = 1e12  # beyond this somebody's formatting is broken
# ASCII digits only: float() also takes "1_000", other scripts' digits and blanks around them.
_DECIMAL = re.compile(r"[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]+", re.ASCII)
_WHOLE_DIGITS = 9  # more are out of any range, and int() refuses very many
_EPOCH_MS = re.compile(r"[0-9]{1,14}", re.ASCII)
_TRUTH = {"1": True, "true": True, "0": False, "false": False}


def equity_of(query: QueryParams, default: float) -> float:
    """Return the caller's equity in account currency; the default only if the parameter is absent."""
    text = _single(query, "equity")
    if text is None:
        return default
    expected = f"a decimal number above 0, at most {LARGEST_EQUITY:.0f}, such as 1000.00"
    if not _DECIMAL.fullmatch(text):
        raise invalid("equity is not a number that a size can be computed from", expected, text)
    equity = float(text)
    if not (math.isfinite(equity) and 0 < equity <= LARGEST_EQUITY):
        raise invalid("equity is out of range", expected, text)
    return equity


def whole(query: QueryParams, name: str, default: int, largest: int) -> int:
    """Return a whole number from 1 to `largest`."""
    text = _single(query, name)
    if text is None:
        return default
    expected = f"a whole number from 1 to {largest}"
    if not _WHOLE.fullmatch(text):
        raise invalid(f"{name} is no whole number", expected, text)
    if len(text) > _WHOLE_DIGITS or not 1 <= int(text) <= largest:
        raise invalid(f"{name} is out of range", expected, text)
    return int(text)


def moment_ms(query: QueryParams, name: str, default: int) -> int:
    """Return a time as UTC epoch milliseconds: given so, or in ISO 8601 with a zone."""
    text = _single(query, name)
    if text is None:
        return default
    if _EPOCH_MS.fullmatch(text):
        return int(text)
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    raise invalid(f"{name} is no time", "epoch milliseconds, or ISO 8601 with a zone: 2026-06-17T14:00:00Z", text)


def choices(query: QueryParams, name: str, known: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a comma-separated list, all of them known; none if the parameter is absent."""
    text = _single(query, name)
    words = () if text is None else tuple(dict.fromkeys(part for part in text.split(",") if part))
    if not set(words) <= set(known):
        raise invalid(f"{name} holds an unknown word", "some of " + ", ".join(known), text or "")
    return words


def text_of(query: QueryParams, name: str) -> str:
    """Return a parameter as it was given; empty if it is absent."""
    return _single(query, name) or ""


def truth(query: QueryParams, name: str) -> bool:
    """Return whether it is wanted: 1 or true, 0 or false, in any case of letters; absent is false."""
    text = _single(query, name)
    if text is None:
        return False
    if text.lower() not in _TRUTH:
        raise invalid(f"{name} is neither true nor false", "one of " + ", ".join(_TRUTH), text)
    return _TRUTH[text.lower()]


def timeframe_of(query: QueryParams, timeframes: Sequence[str]) -> str:
    """Return the timeframe; absent is 1m, or the shortest where 1m is not configured."""
    text = _single(query, "timeframe")
    if text is None:
        return "1m" if "1m" in timeframes else timeframes[0]
    if text not in timeframes:
        raise invalid("timeframe is not configured", "one of " + ", ".join(timeframes), text)
    return text


def names_of(query: QueryParams, parameter: str = "names") -> tuple[str, ...] | None:
    """Return the names of a comma-separated list; None if the parameter is absent."""
    text = _single(query, parameter)
    return None if text is None else tuple(part for part in text.split(",") if part)


def symbol_of(name: str, table: SymbolTable) -> Symbol:
    """Return a symbol by its generic or its broker's name, exact case. ApiError 404 if it is not configured."""
    found = find_symbol(name, table)
    if found is None:
        raise ApiError(404, "unknown_symbol", "symbol is not configured", "one of " + ", ".join(table.symbols), name)
    return found


def find_symbol(name: str, table: SymbolTable) -> Symbol | None:
    """Return a symbol by its generic or its broker's name, exact case; None if it is not configured."""
    if name in table.symbols:
        return table.symbols[name]
    return next((symbol for symbol in table.symbols.values() if symbol.broker == name), None)


def _single(query: QueryParams, name: str) -> str | None:
    values = query.getlist(name)
    if len(values) > 1:
        raise invalid(f"{name} is given more than once", "one value", ", ".join(values))
    return values[0] if values else None
