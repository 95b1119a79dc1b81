"""Vendors' history: each bar is judged alone, and against its neighbours in the same answer."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from common.errors import Rejected
from common.messages import AHEAD_MS, TIMEFRAME_MS, Bar, HistoryBars, RawBars, Reject
from common.sessions import trades_within
from validator.border import CleanBar, clean_bar
from validator.rules import closed_detail
from validator.state import move_size

# A price in a bar is a spike so far from the middle of five neighbouring closes, and so many of the answer's median
# moves: a real change of level lasts and moves that middle, a bad print doesn't.
FLOOR = 0.05
SPIKE_MOVES = 30.0
NEIGHBOURS = 2  # on either side


class _Kept(NamedTuple):
    place: int
    bar: CleanBar


def judge_bars(raw: RawBars, raw_id: str, session: str = "") -> tuple[HistoryBars, tuple[Reject, ...]]:
    """Return the history with its good bars (maybe none), and the rejects. session: see Terms."""
    rejects: list[Reject] = []
    kept: list[_Kept] = []
    for index, raw_bar in enumerate(raw.bars):
        try:
            bar = clean_bar(raw_bar)
            _check(bar, raw, kept[-1].bar if kept else None)
            _check_hours(bar, raw, session)
            kept.append(_Kept(index, bar))
        except Rejected as e:
            rejects.append(_reject(raw, raw_id, index, e))
    good: list[Bar] = []
    limit = _limit([k.bar.close for k in kept])
    for i, (place, bar) in enumerate(kept):
        near = kept[max(0, i - NEIGHBOURS) : i + NEIGHBOURS + 1]
        middle = median(k.bar.close for k in near)
        furthest = max((bar.open, bar.high, bar.low, bar.close), key=lambda price: move_size(price, middle))
        if move_size(furthest, middle) > limit:
            detail = f"expected within {limit:.2%} of {middle}, found {furthest}"
            rejects.append(_reject(raw, raw_id, place, Rejected("spike", detail)))
        else:
            good.append(_bar(raw, bar))
    rejects.sort(key=lambda reject: reject.raw_index)
    return history(raw, raw_id, good), tuple(rejects)


def refuse_bars(raw: RawBars, raw_id: str, reason: Rejected) -> tuple[HistoryBars, tuple[Reject, ...]]:
    """Return an empty history and all bars rejected for one reason."""
    return history(raw, raw_id, ()), tuple(_reject(raw, raw_id, i, reason) for i in range(len(raw.bars)))


def history(raw: RawBars, raw_id: str, bars: Sequence[Bar]) -> HistoryBars:
    """Return the answer that passes on what the raw one says of the request."""
    return HistoryBars(
        request_id=raw.request_id, symbol=raw.symbol, timeframe=raw.timeframe, source_class=raw.source_class,
        bars=tuple(bars), final=raw.final, detail=raw.detail, raw_id=raw_id, source=raw.source,
        received_ms=raw.received_ms, retry_ms=raw.retry_ms,
    )  # fmt: skip


def _check(bar: CleanBar, raw: RawBars, before: CleanBar | None) -> None:
    length_ms = TIMEFRAME_MS[raw.timeframe]
    if not bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        detail = f"expected low <= open, close <= high; found {bar.open}, {bar.high}, {bar.low}, {bar.close}"
        raise Rejected("ohlc_order", detail)
    if bar.open_ms % length_ms:
        raise Rejected("misaligned", f"expected a multiple of {length_ms} ms, found {bar.open_ms}")
    if bar.open_ms + length_ms > raw.received_ms + AHEAD_MS:
        raise Rejected("future", f"closes {bar.open_ms + length_ms - raw.received_ms} ms after receipt")
    if before is not None and bar.open_ms <= before.open_ms:
        raise Rejected("out_of_order", f"expected after {before.open_ms}, found {bar.open_ms}")


def _check_hours(bar: CleanBar, raw: RawBars, session: str) -> None:
    """Reject what no session lets expect: vendors make bars of the few quotes that are sent at the weekend."""
    if session and not trades_within(session, bar.open_ms, bar.open_ms + TIMEFRAME_MS[raw.timeframe]):
        raise Rejected("closed", closed_detail(session, bar.open_ms))


def _limit(closes: Sequence[float]) -> float:
    moves = [move_size(b, a) for a, b in pairwise(closes)]
    return max(FLOOR, SPIKE_MOVES * median(moves)) if moves else FLOOR


def _bar(raw: RawBars, bar: CleanBar) -> Bar:
    return Bar(
        symbol=raw.symbol, timeframe=raw.timeframe, open_ms=bar.open_ms,
        open=bar.open, high=bar.high, low=bar.low, close=bar.close,
        volume=bar.volume or 0.0, volume_kind=raw.volume_kind, ticks=0,
        source=raw.source, source_class=raw.source_class, origin="vendor",
    )  # fmt: skip


def _reject(raw: RawBars, raw_id: str, index: int, reason: Rejected) -> Reject:
    return Reject(
        symbol=raw.symbol, source=raw.source, source_class=raw.source_class, received_ms=raw.received_ms,
        reason=reason.reason, detail=reason.detail, score=0.0, raw_id=raw_id, raw_index=index,
        raw_bar=raw.bars[index], timeframe=raw.timeframe,
    )  # fmt: skip
