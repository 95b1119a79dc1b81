"""Whether a published signal may be sent to a live client now: by the judgement of /api/signals, at this moment."""

import asyncio
from contextlib import suppress

from api.context import Context
from api.live.client import Wanted
from api.redis_pool import RedisAway
from api.signal_advice import Advice, Unsized
from api.signal_answer import Answer, Caller, answer
from api.signals import LARGEST_LIMIT
from common.clock import monotonic_s
from common.messages import Signal

JUDGED_WITHIN_S = 3.0  # without a judgement for longer signals are given up: they expire, and heartbeats are due
RETRY_S = 0.25
PRESENT_MS = 200  # an answer that took longer is about the past: by now the signal may have expired


class Judge:
    """Judges for one client's equity, which it named when it came: too old to be an observation of the account."""

    def __init__(self, context: Context, wanted: Wanted) -> None:
        self._context = context
        self._caller = Caller(wanted.equity, told=False, limit=LARGEST_LIMIT, symbols=wanted.symbols)
        self._unsure_s: float | None = None  # since when nothing can be judged

    async def judge(self, signal: Signal) -> tuple[Advice | str, int]:
        """Return the advice, or the reason why there is none; and when that was judged, in real time."""
        found = await self._present()
        if found is None:
            return "redis_away", self._context.wall_ms()
        for advice in found.shown:
            if _is_of(advice, signal):
                return advice, found.wall_ms
        reasons = {item.symbol.name: item.reason for item in found.withheld}
        outranked = any(_is_of(advice, signal) for advice in found.unshown)
        return reasons.get(signal.symbol, "outranked" if outranked else "superseded"), found.wall_ms

    async def _present(self) -> Answer | None:
        """Return what may be acted on now; None if that can't be said, nor could it lately.

        While the api's own reports are not delivered nothing is served: that passes, so it is waited for.
        """
        while True:
            wall_ms, found = self._context.wall_ms(), None
            with suppress(RedisAway):
                found = await answer(self._context, self._caller)
            is_present = self._context.wall_ms() - wall_ms <= PRESENT_MS
            if found is not None and is_present and self._context.publisher.delivered:
                self._unsure_s = None
                return found
            self._unsure_s = self._unsure_s or monotonic_s()
            if monotonic_s() - self._unsure_s > JUDGED_WITHIN_S:
                return found if is_present else None
            await asyncio.sleep(RETRY_S)


def _is_of(advice: Advice | Unsized, signal: Signal) -> bool:
    return (advice.signal.id, advice.signal.published_ms) == (signal.id, signal.published_ms)
