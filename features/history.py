"""A lane's history from outside: what is asked for, and how what comes is merged."""

from msgspec.structs import replace

from common.bars import bucket_open_ms, pack
from common.messages import HistoryBars, HistoryRequest
from features.builder import first_open_ms
from features.state import Asked
from features.track import Slot, Track

ASK_AGAIN_MS = 6 * 3_600_000  # vendors' budgets are small, and a lane that is still short warms up by itself


def wanted(track: Track, slot: Slot, needed_bars: int, count: int, now_ms: int) -> HistoryRequest | None:
    """Return what to ask for if the lane holds too few bars, at most once in ASK_AGAIN_MS; note that it was asked.

    count: how many bars to ask for.
    """
    window = slot.lane.window
    if slot.filled or len(window) >= needed_bars:
        slot.filled = True
        return None
    if slot.asked is not None and now_ms - slot.asked.asked_ms < ASK_AGAIN_MS:
        return None
    setup, before_ms = slot.lane.setup, _closed_before_ms(track, slot)
    request_id = f"{slot.lane.name}|{track.source_class}|{before_ms}|{len(window)}|{window.last_open_ms or 0}"
    slot.asked, slot.asked_now = Asked(request_id, now_ms, answered=False), True
    return HistoryRequest(
        request_id, setup.symbol, setup.timeframe, track.source_class, count, before_ms, most=window.kept_bars
    )


def note_answer(slot: Slot, message: HistoryBars) -> bool:
    """Note that what the lane asked for was answered for good; tell whether that is what came."""
    if not message.final or slot.asked is None or slot.asked.id != message.request_id:
        return False
    slot.asked = replace(slot.asked, answered=True, retry_ms=message.retry_ms, detail=message.detail)
    slot.asked_now = True
    return True


def merge(track: Track, slot: Slot, message: HistoryBars) -> HistoryBars | None:
    """Merge closed bars into a lane, which is stale by it.

    Returns the message with the bars alone that changed the lane; None if none did.
    """
    before_ms = _closed_before_ms(track, slot)
    length_ms = slot.lane.setup.timeframe_ms
    usable = {
        bar.open_ms: pack(replace(bar, repaired=True) if message.repair else bar)
        for bar in message.bars
        if bar.open_ms < before_ms and bar.open_ms % length_ms == 0
    }
    changed = slot.lane.window.merge(usable, instead=message.instead) if usable else set()
    if not changed:
        return None
    slot.lane.stale = slot.rewritten = True
    slot.appended.clear()
    return replace(message, bars=tuple(bar for bar in message.bars if bar.open_ms in changed))


def _closed_before_ms(track: Track, slot: Slot) -> int:
    """Return the time before which all bars that open are closed: those that history may still supply."""
    closed_ms = bucket_open_ms(track.horizon_ms, slot.lane.setup.timeframe_ms)
    opened_ms = first_open_ms(slot.forming)
    return closed_ms if opened_ms is None else min(closed_ms, opened_ms)
