"""What one currency is worth in another, from the prices of our own symbols."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext

from common.errors import Rejected

CROSS = "USD"
"""The currency by way of which two others are converted that no symbol joins."""


@dataclass(frozen=True)
class Pair:
    """A symbol whose price is a rate: `price()` gives units of `quote` for one `base`.

    It raises Rejected where the price can't be trusted now, and is asked only for a pair that is needed.
    """

    name: str
    base: str
    quote: str
    price: Callable[[], Decimal]


def rate(source: str, target: str, pairs: Iterable[Pair]) -> Decimal:
    """Return the units of `target` for one of `source`: direct, inverse, or by way of CROSS.

    An inverse is rounded up: a loss is never taken for smaller than it is. Rejected("currency") says which rate is
    missing, or why one can't be used.
    """
    known = tuple(pairs)
    if source == target:
        return Decimal(1)
    if _joining(source, target, known):
        return _step(source, target, known)
    if CROSS in (source, target):
        raise _missing(source, target)
    with localcontext(rounding=ROUND_CEILING):
        return _step(source, CROSS, known) * _step(CROSS, target, known)


def _step(source: str, target: str, pairs: tuple[Pair, ...]) -> Decimal:
    joining = _joining(source, target, pairs)
    if not joining:
        raise _missing(source, target)
    refusals = []
    for pair in joining:
        try:
            price = pair.price()
        except Rejected as e:
            refusals.append(f"{pair.name}: {e.reason}, {e.detail}")
            continue
        with localcontext(rounding=ROUND_CEILING):
            return price if pair.base == source else 1 / price
    raise Rejected("currency", f"no fresh rate from {source} to {target}: {'; '.join(refusals)}")


def _joining(source: str, target: str, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """Return the pairs that join two currencies, the direct ones first."""
    direct = (pair for pair in pairs if (pair.base, pair.quote) == (source, target))
    inverse = (pair for pair in pairs if (pair.quote, pair.base) == (source, target))
    return (*direct, *inverse)


def _missing(source: str, target: str) -> Rejected:
    return Rejected("currency", f"no rate from {source} to {target}: no symbol in SYMBOLS is that pair")
