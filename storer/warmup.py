"""History that features asked for and SQLite lacks: asked of the vendors until they have given what they have."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from common.messages import BackfillRequest, Bar, HistoryBars, HistoryRequest
from storer.backfill import PAUSE_MS, Lane, backfill, older_history
from storer.gaps import WAITS_MS

NO_MORE = "no vendor has more"
_WHY = "older"


class Warmup(Struct, frozen=True):
    """What is still wanted of the vendors for one lane."""

    request_id: str
    """Of the features' question."""
    asked_ms: int
    from_ms: int
    to_ms: int
    attempts: int = 1
    next_ms: int | None = None
    """When to ask (again); None: nothing is left to ask for."""
    why: str = ""

    def asks(self, lane: Lane) -> BackfillRequest | None:
        """Return what to ask the vendors."""
        return backfill(_WHY, lane, self.from_ms, self.to_ms)


_decoder = msgspec.json.Decoder(Warmup)
_encoder = msgspec.json.Encoder()


def begin(request: HistoryRequest, stored: Sequence[Bar], before: Warmup | None, now_ms: int) -> Warmup | None:
    """Return what to ask the vendors for this question; None if that is nothing, or was asked a short while ago."""
    if before is not None and (before.next_ms is not None or now_ms - before.asked_ms < PAUSE_MS):
        return None
    wanted = older_history(request, stored)
    if wanted is None:
        return None
    # An answer that never comes is not waited for longer than this.
    return Warmup(request.id, now_ms, wanted.from_ms, wanted.to_ms, next_ms=now_ms + PAUSE_MS)


def again(warmup: Warmup, now_ms: int) -> Warmup:
    """Return it asked for once more."""
    return msgspec.structs.replace(
        warmup, asked_ms=now_ms, attempts=warmup.attempts + 1, next_ms=now_ms + PAUSE_MS, why=""
    )


def after_answer(warmup: Warmup, lane: Lane, answer: HistoryBars, now_ms: int) -> Warmup | None:
    """Return what is left to be asked for after a piece of the vendors' answer; None if it answers something else.

    Vendors give the oldest first: what was cut off is the newer part.
    """
    asked = warmup.asks(lane)
    if asked is None or asked.id != answer.request_id or warmup.next_ms is None:
        return None
    if not answer.final:
        return warmup
    if answer.retry_ms is None:
        return msgspec.structs.replace(warmup, next_ms=None, why=answer.detail or NO_MORE)
    wait_ms = WAITS_MS[min(warmup.attempts, len(WAITS_MS) - 1)]
    next_ms = max(answer.retry_ms, now_ms + wait_ms)
    from_ms = answer.bars[-1].open_ms + lane.bar_ms if answer.bars else warmup.from_ms
    return msgspec.structs.replace(warmup, from_ms=from_ms, next_ms=next_ms, why=answer.detail)


def word(warmup: Warmup, lane: Lane) -> HistoryBars:
    """Return what features must know of it: why there is no more yet, and when the vendors are asked again."""
    return HistoryBars(
        warmup.request_id,
        lane.symbol,
        lane.timeframe,
        lane.source_class,
        (),
        detail=warmup.why,
        retry_ms=warmup.next_ms,
    )


def encoded(warmup: Warmup) -> bytes:
    """Return what the state hash keeps."""
    return _encoder.encode(warmup)


def decoded(body: bytes) -> Warmup | None:
    """Return what the state hash kept; None for what an older release wrote."""
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError:
        return None
