"""Bars from quotes and the clock: pure functions over the bars of one symbol and timeframe that are still open.

Several bars of one lane can be open at once: a bar stays open until the stream's clock, less the class's delay, less
the lateness, passes its end, and quotes of the next bar come before that. A bar is open from its first quote on: no
quote, no bar.
"""

from collections.abc import Sequence

from msgspec import Struct

from common.bars import bucket_open_ms
from common.messages import Bar, Quote, Timeframe, VolumeKind


class Forming(Struct, frozen=True):
    """A bar that is still open. Quotes may come out of order within the lateness: market time decides, then arrival.

    open: of the first quote by market time, among equals the first to arrive; close: of the last by market time, among
    equals the last to arrive.
    """

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    volume_kind: VolumeKind
    """The quotes' kind; "none" (and no volume) as soon as two quotes differ: their volumes don't add."""
    ticks: int
    first_ms: int
    """Market time of `open`."""
    last_ms: int
    """Market time of `close`."""
    source: str
    """Of `close`."""
    score_sum: float
    """Of the quotes' scores, in the order of arrival."""
    spread: float | None = None
    """Of the last quote, by market time, that has bid and ask; None: no quote had both."""

    @property
    def score(self) -> float:
        """Mean quality of its quotes."""
        return self.score_sum / self.ticks


OpenBars = tuple[Forming, ...]
"""The open bars of one lane, oldest first."""


def admit(bars: OpenBars, quote: Quote, timeframe_ms: int) -> OpenBars:
    """Return the open bars with the quote in the one that its market time falls into."""
    open_ms = bucket_open_ms(quote.market_ms, timeframe_ms)
    if bars and bars[-1].open_ms == open_ms:  # nearly every quote
        return (*bars[:-1], _absorb(bars[-1], quote))
    for index, bar in enumerate(bars):
        if bar.open_ms == open_ms:
            return (*bars[:index], _absorb(bar, quote), *bars[index + 1 :])
        if bar.open_ms > open_ms:
            return (*bars[:index], _begin(open_ms, quote), *bars[index:])
    return (*bars, _begin(open_ms, quote))


def split(bars: OpenBars, timeframe_ms: int, horizon_ms: int) -> tuple[OpenBars, OpenBars]:
    """Return the bars that close at this horizon, and those that stay open."""
    count = 0
    while count < len(bars) and bars[count].open_ms + timeframe_ms <= horizon_ms:
        count += 1
    return bars[:count], bars[count:]


def finish(bar: Forming, symbol: str, timeframe: Timeframe, source_class: str, complete: bool) -> Bar:
    """Return the final bar."""
    return Bar(
        symbol=symbol,
        timeframe=timeframe,
        open_ms=bar.open_ms,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        volume_kind=bar.volume_kind,
        ticks=bar.ticks,
        source=bar.source,
        source_class=source_class,
        complete=complete,
    )


def first_open_ms(bars: Sequence[Forming]) -> int | None:
    """Return when the oldest open bar opened; None if none is open."""
    return bars[0].open_ms if bars else None


def _begin(open_ms: int, quote: Quote) -> Forming:
    price, volume = quote.price, _volume(quote, quote.volume_kind)
    return Forming(
        open_ms, price, price, price, price, volume, quote.volume_kind, 1, quote.market_ms, quote.market_ms,
        quote.source, quote.score, _spread(quote),
    )  # fmt: skip


def _absorb(bar: Forming, quote: Quote) -> Forming:
    price, at_ms = quote.price, quote.market_ms
    first, last = at_ms < bar.first_ms, at_ms >= bar.last_ms
    kind: VolumeKind = bar.volume_kind if bar.volume_kind == quote.volume_kind else "none"
    return Forming(
        bar.open_ms,
        price if first else bar.open,
        max(bar.high, price),
        min(bar.low, price),
        price if last else bar.close,
        bar.volume + _volume(quote, kind) if kind != "none" else 0.0,
        kind,
        bar.ticks + 1,
        at_ms if first else bar.first_ms,
        at_ms if last else bar.last_ms,
        quote.source if last else bar.source,
        bar.score_sum + quote.score,
        _newer_spread(bar, quote) if last else bar.spread,
    )


def _volume(quote: Quote, kind: VolumeKind) -> float:
    return 0.0 if kind == "none" else quote.volume


def _spread(quote: Quote) -> float | None:
    return quote.ask - quote.bid if quote.bid is not None and quote.ask is not None else None


def _newer_spread(bar: Forming, quote: Quote) -> float | None:
    spread = _spread(quote)
    return bar.spread if spread is None else spread
