"""One source's budget as this process handles it: what a call may cost now, and how what is left is spread."""

from collections.abc import Callable, Mapping

from collector.events import Events
from collector.limits import Purpose
from collector.pace import Course, Pace, kept_of, pace_of
from collector.quota import MISSING, Quota, QuotaView, Terms, view_of
from collector.usage import UsageFile, starting_usage
from collector.vendors.base import Request


class Budget:
    """A quota with its course."""

    def __init__(
        self, quota: Quota, course: Course, usage: UsageFile, events: Events, now_ms: Callable[[], int]
    ) -> None:
        self.quota, self.course = quota, course
        self.pushed = False
        """Whether all prices that this source has come by push just now: history may take more then."""
        self._usage, self._events, self._now_ms = usage, events, now_ms
        self._pace = Pace()
        self._first_start = False

    @property
    def round_ms(self) -> int:
        """From one call to the next for the same symbol, by the pace seen last; 0: unlimited."""
        return self._pace.round_ms

    def open(self, *, first_start: bool) -> None:
        """Begin: the counter exists afterwards."""
        self._first_start = first_start
        self._establish()

    def view(self, stored: Mapping[bytes, bytes], now_ms: int) -> tuple[QuotaView, Pace]:
        """Return what a hash says, and the pace that follows from it. Calls in turn go by the pace seen last."""
        seen = view_of(self.quota.plan, stored, now_ms)
        self._pace = pace_of(seen, self.course, now_ms)
        return seen, self._pace

    def kept(self, now_ms: int) -> dict[str, int]:
        """Return what history leaves to regular asking: window -> credits."""
        return kept_of(self.quota.plan, self.course, now_ms, pushed=self.pushed)

    def pay(self, request: Request, purpose: Purpose) -> bool:
        """Take a request's cost out of the budget. False: it must not be made."""
        plan, now_ms = self.quota.plan, self._now_ms()
        if not request.asks:
            purpose = Purpose.SESSION
        is_history = purpose is Purpose.BACKFILL
        symbols = () if is_history else tuple(ask.symbol for ask in request.asks)
        terms = Terms(purpose, self._pace.spacing_ms, self.kept(now_ms) if is_history else {}, symbols)
        reservation = self.quota.reserve(request.credits, now_ms, terms)
        if reservation.window == MISSING:  # flushed while we run
            self._establish()
            reservation = self.quota.reserve(request.credits, now_ms, terms)
        if reservation.granted and plan.windows:
            self._usage.note(self.quota, request.credits, now_ms, purpose)
        return reservation.granted

    def _establish(self) -> None:
        now_ms = self._now_ms()
        first, self._first_start = self._first_start, False
        usage, how = starting_usage(self.quota, self._usage, first_start=first, now_ms=now_ms)
        if self.quota.establish(usage, now_ms) and how != "first_start":
            self._events.quota(self.quota.plan.vendor, f"quota.{how}", now_ms, "its counter was not in Redis")
