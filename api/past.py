"""What a journal that is new doesn't know: positions that were reported to the one before it, from the history.

A journal may be lost with its disk or by a hand while the history lives. Positions that are open would be forgotten
then, and their symbols advised on again.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import msgspec
import structlog

from api import reports
from api.context import Context
from api.errors import ApiError
from api.ledger import PRESUMED
from api.positions import MAX_AGE_MS, Position
from common.history import History
from common.messages import ClientEvent, Execution, Signal

log = structlog.get_logger()

FAR_MS = 2**53
MOST_READ = 2_000
"""Reports, the newest: a day of a busy bot."""
SIGNALS_BEFORE = 20
"""Signals of the symbol before a fill, among which the one that it followed is looked for."""
Past = list[Execution | ClientEvent]


async def take_up_past(context: Context) -> None:
    """Have the ledger know the positions of before. Retryable where the history is there and can't be read now."""
    if not context.journal.begins or not context.history.path.exists():
        return
    past = await asyncio.to_thread(_read, context.history)
    wall_ms = context.wall_ms()
    stream_ms = (await context.state.now(wall_ms)).stream_ms or wall_ms
    recent = [m for m in past if stream_ms - m.received_ms <= 2 * MAX_AGE_MS]
    for message in recent:
        try:
            await _take_up(context, message, wall_ms, wall_ms - max(0, stream_ms - message.received_ms))
        except (ApiError, msgspec.MsgspecError):  # written by another release
            log.exception("report.unreadable", id=message.id)
    await asyncio.to_thread(context.journal.is_whole)
    if recent:
        log.warning("journal.began_anew", reports=len(recent), detail="positions are the history's")


async def _take_up(context: Context, message: Execution | ClientEvent, wall_ms: int, reported_wall_ms: int) -> None:
    if isinstance(message, Execution) and message.id.startswith("open:"):
        signal = await asyncio.to_thread(_signal_of, context.history, message)
        context.ledger.positions.add(_position(message, signal, reported_wall_ms))
    else:
        context.ledger.end_from([message], wall_ms)


def _read(history: History) -> Past:
    return [
        *history.executions(FAR_MS, MOST_READ),
        *history.client_events(PRESUMED, FAR_MS, MOST_READ),
    ]


def _signal_of(history: History, fill: Execution) -> Signal | None:
    """Return the signal that a fill followed, as far as can be told: the last one of its strategy and side."""
    told = reports.fill_of(fill.body)
    before: Iterable[Signal] = history.signals(fill.received_ms + 1, SIGNALS_BEFORE, fill.symbol)
    same = [s for s in before if told.followed(s, fill.received_ms)]
    return same[-1] if same else None


def _position(fill: Execution, signal: Signal | None, wall_ms: int) -> Position:
    told = reports.fill_of(fill.body)
    target, signal_id, source_class = told.target, "", ""
    if signal is not None:
        target, signal_id, source_class = signal.take_profit_2, signal.id, signal.source_class
    position = told.position(fill.symbol, fill.received_ms, wall_ms, target, signal_id, source_class)
    return replace(position, trade_id=fill.trade_id)
