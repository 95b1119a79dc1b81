"""The trades that reports tell of, from the history and the journal: pure, but for the reading."""

from collections.abc import Iterable
from dataclasses import replace

import msgspec
import structlog

from api import reports
from api.context import Context
from api.errors import ApiError
from api.ledger import PRESUMED, PresumedEnd
from common.errors import Retryable
from common.messages import ClientEvent, Execution, decode
from common.performance import Trade
from common.symbols import Symbol

log = structlog.get_logger()

MOST_READ = 20_000  # executions, the newest: months of a busy bot
FAR_MS = 2**53


def read_reports(context: Context) -> tuple[list[Execution | ClientEvent], bool]:
    """Return fills, closes and presumed ends, each once, oldest first; and whether the history could be read.

    It blocks. The journal has the newest, which the history lacks for some seconds.
    """
    found: dict[str, Execution | ClientEvent] = {}
    has_history = True
    try:
        found |= {m.id: m for m in context.history.executions(FAR_MS, MOST_READ)}
        found |= {m.id: m for m in context.history.client_events(PRESUMED, FAR_MS, MOST_READ)}
    except Retryable:
        has_history = False
    for report in context.journal.all():
        try:
            message = decode(report.message)
        except msgspec.MsgspecError:  # written by another release
            continue
        if isinstance(message, Execution) or (isinstance(message, ClientEvent) and message.id.startswith("presumed:")):
            found.setdefault(message.id, message)
    return sorted(found.values(), key=lambda m: (m.received_ms, m.id)), has_history


def trades_of(messages: Iterable[Execution | ClientEvent], symbols: dict[str, Symbol], currency: str) -> list[Trade]:
    """Return the trades in some reports. symbols: with the terms that hold; currency: the account's."""
    fills: dict[str, tuple[Execution, reports.Fill]] = {}
    closes: dict[str, tuple[int, reports.Close]] = {}
    presumed: dict[str, tuple[int, PresumedEnd]] = {}
    for message in messages:
        try:
            if isinstance(message, ClientEvent):
                end = msgspec.convert(message.body, PresumedEnd)
                presumed[end.trade_id] = (message.received_ms, end)
            elif message.id.startswith("open:"):
                fills[message.trade_id] = (message, reports.fill_of(message.body))
            else:
                closes[message.trade_id] = (message.received_ms, reports.close_of(message.body))
        except (ApiError, msgspec.ValidationError):  # written by another release
            log.warning("report.unreadable", id=message.id)
    return [
        _trade(message, fill, closes.get(trade_id), presumed.get(trade_id), symbols.get(message.symbol), currency)
        for trade_id, (message, fill) in fills.items()
    ]


def _trade(
    message: Execution, fill: reports.Fill, close: tuple[int, reports.Close] | None,
    presumed: tuple[int, PresumedEnd] | None, symbol: Symbol | None, currency: str,
) -> Trade:  # fmt: skip
    opened = Trade(fill.trade_id, fill.alpha_id, message.symbol, message.received_ms)
    if close is not None and close[1].pnl is not None:
        return replace(opened, closed_ms=close[0], won=_won(close[1].pnl), pnl=close[1].pnl)
    end = close or presumed
    if end is None:
        return opened
    price = _reached(fill, end[1]) if isinstance(end[1], PresumedEnd) else end[1].price
    if price is None:
        return replace(opened, closed_ms=end[0])
    points = (price - fill.entry) * (1 if fill.action == "BUY" else -1)
    if symbol is None or symbol.quote_currency != currency:  # what the rate was then isn't known
        return replace(opened, closed_ms=end[0], won=_won(points))
    pnl = points * fill.lots * symbol.contract_size
    return replace(opened, closed_ms=end[0], won=_won(points), pnl=pnl, estimated=True)


def _reached(fill: reports.Fill, end: PresumedEnd) -> float | None:
    """Return where a position must have ended: at the order's own target, where that lies before the presumed one."""
    if end.price is None or end.outcome != "target":
        return end.price
    up = 1 if fill.action == "BUY" else -1
    comes_first = 0 < (fill.target - fill.entry) * up < (end.price - fill.entry) * up
    return fill.target if comes_first and fill.target > 0 else end.price


def _won(result: float) -> bool | None:
    """A trade that ended where it began is neither."""
    return None if result == 0 else result > 0
