"""What terminals reported of their broker's terms, and what holds."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from api.errors import invalid, shown
from api.reports import Body, symbol_name_of
from common.errors import Rejected
from common.symbols import Symbol
from common.symbols.broker import BrokerTerms, held_terms, terms_of

EVENT = "broker_symbols"
LATEST = "broker"
"""The name under which the journal keeps the whole book."""
MOST_SYMBOLS = 200


def posted_terms(body: Body) -> list[BrokerTerms]:
    """Return the terms in a body. ApiError 422 names the place of what is wrong."""
    listed = body.get("symbols")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_SYMBOLS:
        raise invalid("symbols is wrong", f"a list of 1 to {MOST_SYMBOLS} symbols", shown(listed)[:60])
    return [_one(place, fields) for place, fields in enumerate(listed)]


def _one(place: int, fields: object) -> BrokerTerms:
    where = f"symbols[{place}]"
    if not isinstance(fields, dict):
        raise invalid(f"{where} is wrong", "an object", str(fields)[:60])
    symbol_name_of(fields, f"{where}.symbol")
    try:
        return terms_of(fields)
    except Rejected as e:
        wrong, _, rest = e.detail.partition(": expected ")
        expected, _, found = rest.partition(", found ")
        raise invalid(f"{where}.{wrong}", expected, found) from e


class Posted(Struct, frozen=True):
    """The last word on one symbol."""

    terms: BrokerTerms
    wall_ms: int


class BrokerBook:
    """What was posted last of each symbol, by its broker's name. One writer: the event loop."""

    def __init__(self) -> None:
        self._posted: dict[str, Posted] = {}
        self._held: dict[str, tuple[Symbol, Symbol]] = {}
        """By generic name: the table's symbol, and the same with the terms that hold."""

    def apply(self, body: Body, wall_ms: int) -> None:
        """Take up an accepted report."""
        self._posted |= {terms.symbol: Posted(terms, wall_ms) for terms in posted_terms(body)}
        self._held.clear()

    def holds(self, found: Iterable[BrokerTerms]) -> bool:
        """Tell whether all of these are what was posted last."""
        return all(self._terms(terms.symbol) == terms for terms in found)

    def posted(self, symbol: Symbol) -> Posted | None:
        """Return the last word on a symbol; None if nobody ever posted it."""
        return self._posted.get(symbol.broker)

    def held(self, symbol: Symbol) -> Symbol:
        """Return the symbol with the terms that hold."""
        known = self._held.get(symbol.name)
        if known is None or known[0] is not symbol:
            known = self._held[symbol.name] = (symbol, held_terms(symbol, self._terms(symbol.broker)))
        return known[1]

    def dump(self) -> bytes:
        """Return all of it, for `load`."""
        return msgspec.json.encode(self._posted)

    def load(self, body: bytes) -> None:
        """Take up what `dump` gave."""
        self._posted = msgspec.json.decode(body, type=dict[str, Posted])
        self._held.clear()

    def _terms(self, broker: str) -> BrokerTerms | None:
        posted = self._posted.get(broker)
        return None if posted is None else posted.terms
