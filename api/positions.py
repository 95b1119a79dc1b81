"""What clients reported as executed: the open positions, as far as reports and our own quotes tell."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

_AGAIN = "~again~"
"""Between a trade id that was used before and what tells the fills under it apart."""
MAX_AGE_MS = 24 * 3_600_000  # a position without a close is presumed closed after this

Outcome = Literal["reported", "stop", "target", "age"]
Deal = tuple[str, str, float, float]
"""What was bought or sold: symbol, action, lots, entry."""


@dataclass(frozen=True)
class Closing:
    """The end of a position. Presumed where no client reported it."""

    at_ms: int
    outcome: Outcome
    price: float | None
    """None: not known; the outcome then counts as a loss."""
    reason: str = ""
    pnl: float | None = None
    """In account currency, as it was reported; None: it wasn't."""

    @property
    def presumed(self) -> bool:
        """Whether nobody reported it."""
        return self.outcome != "reported"

    @property
    def counts_as_loss(self) -> bool:
        """Whether it must be taken for a loss: it hit its stop, or nobody knows."""
        return self.outcome in ("stop", "age")


@dataclass(frozen=True)
class Position:
    """One reported fill. Prices of 0 mean that the client gave none."""

    trade_id: str
    symbol: str
    """Generic; as the client wrote it where the table lacks it."""
    alpha_id: str
    action: Literal["BUY", "SELL"]
    lots: float
    entry: float
    stop: float
    target: float
    """The last target of the signal where we know it, else the one that the client sent."""
    opened_ms: int
    """The stream's time when the report came."""
    reported_wall_ms: int
    signal_id: str = ""
    """The signal that it was matched to; empty if none was."""
    closing: Closing | None = None
    source_class: str = ""
    """The class that fed the series then; empty where it is not known."""

    @property
    def deal(self) -> Deal:
        """What was bought or sold: two fills that differ in it are not one that was told twice."""
        return self.symbol, self.action, self.lots, self.entry

    @property
    def lost(self) -> bool:
        """Whether it ended with a loss: by what was reported, else by its prices, else by what was presumed."""
        closing = self.closing
        if closing is None:
            return False
        if closing.pnl is not None:
            return closing.pnl < 0
        if closing.presumed or closing.price is None:
            return closing.counts_as_loss
        return (closing.price - self.entry) * (1 if self.action == "BUY" else -1) < 0


class Positions:
    """All positions that are remembered, in the order in which they were reported. One writer: the event loop."""

    def __init__(self) -> None:
        self._by_id: dict[str, Position] = {}
        self._early: dict[str, tuple[int, Closing]] = {}  # closes that came before their fill, and when
        self._sorted: tuple[tuple[Position, ...], dict[str, list[Position]]] | None = None
        """Those that are open, and all by symbol; None: something has changed since."""

    def add(self, position: Position) -> None:
        """Remember a fill; a second one of the same trade is ignored."""
        if position.trade_id in self._by_id:
            return
        _, early = self._early.pop(position.trade_id, (0, None))
        self._by_id[position.trade_id] = position if early is None else replace(position, closing=early)
        self._sorted = None

    def close(self, trade_id: str, closing: Closing, reported_wall_ms: int) -> bool:
        """End a position and return whether it was known. A reported end replaces a presumed one, never the reverse."""
        position = self._by_id.get(trade_id)
        if position is None:
            self._early[trade_id] = (reported_wall_ms, closing)
            return False
        if position.closing is None or (position.closing.presumed and not closing.presumed):
            self._by_id[trade_id] = replace(position, closing=closing)
            self._sorted = None
        return True

    def open_on(self, symbol: str) -> Position | None:
        """Return the oldest open position on a symbol, if any."""
        return next((p for p in self._on(symbol) if p.closing is None), None)

    def fill_of(self, symbol: str, alpha_id: str, since_ms: int) -> Position | None:
        """Return a fill of this strategy, or of none, on this symbol, reported at or after `since_ms` (stream time)."""
        return next(
            (p for p in self._on(symbol) if p.alpha_id in ("", alpha_id) and p.opened_ms >= since_ms),
            None,
        )

    def last_loss_ms(self, symbol: str) -> int | None:
        """Return when the last loss on a symbol ended (stream time); None if there was none."""
        ends = (p.closing.at_ms for p in self._on(symbol) if p.closing and p.lost)
        return max(ends, default=None)

    def get(self, trade_id: str) -> Position | None:
        """Return one position, open or closed."""
        return self._by_id.get(trade_id)

    def told_again(self, position: Position, before: Deal | None = None) -> str:
        """Return the id under which a fill is remembered: its own, unless another fill has taken that.

        Some clients count from 1 at each start. Beside the first fill of an id there is then one more for each that
        differs in what was bought or sold. before: of the id's first fill, if that is older than what is remembered.
        """
        known = self._by_id.get(position.trade_id)
        first = known.deal if known is not None else before
        again = f"{position.trade_id}{_AGAIN}{hashlib.sha256(repr(position.deal).encode()).hexdigest()[:8]}"
        return again if again in self._by_id or first not in (None, position.deal) else position.trade_id

    def ended_by(self, trade_id: str, closing: Closing) -> str:
        """Return the id of the position that a close means: the newest under its id that is open, or ended just so."""
        under = [p for p in self._by_id.values() if p.trade_id.partition(_AGAIN)[0] == trade_id]
        for position in reversed(under):
            end = position.closing
            if end is None or end.presumed or replace(end, at_ms=closing.at_ms) == closing:
                return position.trade_id
        return trade_id

    def every(self) -> Iterable[Position]:
        """Return all that are remembered, oldest report first."""
        return tuple(self._by_id.values())

    def opened(self) -> tuple[Position, ...]:
        """Return those that are open."""
        return self._sort()[0]

    def forget(self, reported_before_wall_ms: int) -> None:
        """Drop closed positions, and closes without a fill, that were reported before a moment of real time."""
        for position in self.every():
            if position.closing is not None and position.reported_wall_ms < reported_before_wall_ms:
                del self._by_id[position.trade_id]
        self._sorted = None
        self._early = {id_: early for id_, early in self._early.items() if early[0] >= reported_before_wall_ms}

    def _on(self, symbol: str) -> Sequence[Position]:
        return self._sort()[1].get(symbol, ())

    def _sort(self) -> tuple[tuple[Position, ...], dict[str, list[Position]]]:
        """Sort them out once, not at each of the questions about each symbol."""
        if self._sorted is None:
            of_symbol: dict[str, list[Position]] = {}
            for position in self._by_id.values():
                of_symbol.setdefault(position.symbol, []).append(position)
            self._sorted = tuple(p for p in self._by_id.values() if p.closing is None), of_symbol
        return self._sorted


@dataclass(frozen=True)
class PriceRange:
    """The prices between two moments. `open_ms`: market time of the first of them."""

    open_ms: int
    high: float
    low: float


def presumed_closing(position: Position, ranges: Iterable[PriceRange], stream_ms: int, wall_ms: int) -> Closing | None:
    """Return how an open position must have ended by our quotes, or None if it may still be open.

    ranges: oldest first; those that began before the fill say nothing. Where one range crosses stop and target, the
    stop is taken to have come first.
    """
    for prices in ranges:
        if prices.open_ms < position.opened_ms:
            continue
        if _crossed(position, prices, position.stop, against=True):
            return Closing(stream_ms, "stop", position.stop)
        if _crossed(position, prices, position.target, against=False):
            return Closing(stream_ms, "target", position.target)
    if max(stream_ms - position.opened_ms, wall_ms - position.reported_wall_ms) > MAX_AGE_MS:
        return Closing(stream_ms, "age", None)
    return None


def _crossed(position: Position, prices: PriceRange, level: float, against: bool) -> bool:
    if level <= 0:
        return False
    downwards = (position.action == "BUY") == against
    return prices.low <= level if downwards else prices.high >= level
