"""Changes in the sources' states, on their way to the stream, to the log and to the metrics."""

import structlog

from collector.vendors.base import Verdict
from common.breaker_model import State, Transition
from common.messages import SourceEvent
from common.metrics import Metrics

log = structlog.get_logger()

_BREAKER_EVENT = {State.OPEN: "breaker.opened", State.HALF_OPEN: "breaker.half_open", State.CLOSED: "breaker.closed"}


class Events:
    """What happened and is not committed yet."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self.pending: list[SourceEvent] = []

    def transition(self, source: str, change: Transition | None) -> None:
        """Note a breaker's change of state; None: it did not change."""
        if change is None:
            return
        event = _BREAKER_EVENT[change.after]
        say = log.warning if change.after is State.OPEN else log.info
        say(event, source=source, before=change.before, failures=change.failures, error=change.error)
        self._metrics.count("md_breaker_transitions_total", source=source, state=change.after)
        self._tell(source, change)

    def again(self, source: str, newest: Transition | None) -> None:
        """Send a breaker's newest change once more: who made it may have died before committing the event.

        The event's id is the same as then, so whoever has it already drops this one.
        """
        if newest is not None:
            self._tell(source, newest)

    def _tell(self, source: str, change: Transition) -> None:
        fields: dict[str, str | int | float] = {"before": change.before, "after": change.after}
        fields |= {"failures": change.failures, "number": change.number}
        event = _BREAKER_EVENT[change.after]
        self._add(source, event, change.at_ms, str(change.number), change.error, fields)

    def refusal(self, source: str, symbol: str, verdict: Verdict, at_ms: int, until_ms: int, detail: str) -> None:
        """Note that a source (symbol empty) or a symbol at it is left alone for a while."""
        event = f"source.{verdict}"
        log.warning(event, source=source, symbol=symbol, left_alone_s=(until_ms - at_ms) // 1000, detail=detail)
        self._add(source, event, at_ms, symbol, detail, {"symbol": symbol, "until_ms": until_ms})

    def quota(self, source: str, event: str, at_ms: int, detail: str) -> None:
        """Note that a counter of calls was begun, rebuilt or lost."""
        log.warning(event, source=source, detail=detail)
        self._add(source, event, at_ms, "", detail, {})

    def committed(self, count: int) -> None:
        """Forget the oldest `count` events: they are in the stream."""
        del self.pending[:count]

    def _add(
        self, source: str, event: str, at_ms: int, which: str, detail: str, fields: dict[str, str | int | float]
    ) -> None:
        identity = f"{source}|{event}|{which}|{at_ms}"
        self.pending.append(SourceEvent(source, event, at_ms, identity, detail, fields))
