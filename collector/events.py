"""Changes in the sources' states, on their way to the stream, to the log and to the metrics.

A breaker changes by several hands: this process, other collectors, an operator. The collector of partition 0 tells of
all of it, by the changes that the breaker's hash remembers. How far it has told goes into its state hash in the same
transaction as the events (`t:<source>`, and `offline_since_ms` of our network): each is in the stream exactly once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from collector.blocks import Block
from collector.times import iso
from collector.vendors.base import Verdict
from common.breaker import Reason, State, Transition, changes_of, view_of
from common.keys import FIELD
from common.messages import SourceEvent, encode
from common.metrics import Metrics
from common.redis_link import Command

log = structlog.get_logger()

NETWORK = "network"
"""The source that our own network's events name."""

_OF_STATE = {State.OPEN: "breaker.opened", State.HALF_OPEN: "breaker.half_open", State.CLOSED: "breaker.closed"}
_OF_OPERATOR = {
    Reason.FORCED_OPEN: "breaker.forced_open",
    Reason.FORCED_CLOSED: "breaker.forced_closed",
    Reason.RESET: "breaker.reset",
}
_TOLD = "t:"
_OFFLINE = "offline_since_ms"

Fields = dict[str, str | int | float]


@dataclass(frozen=True)
class Told:
    """How far one breaker's changes were told."""

    born_ms: int = 0
    number: int = 0


@dataclass(frozen=True)
class Pending:
    """An event that is not committed yet, and the field of the state hash that is committed with it."""

    event: SourceEvent
    mark: tuple[str, str] | None = None


class Events:
    """What happened and is not committed yet."""

    def __init__(self, metrics: Metrics, *, tells_breakers: bool = True) -> None:
        """tells_breakers: whether the breakers' changes are this process's to tell: one process's, of all."""
        self._metrics, self._tells_breakers = metrics, tells_breakers
        self._told: dict[str, Told] = {}
        self._refused: dict[tuple[str, str], str] = {}
        """Source and symbol (empty: all of it) -> the verdict that was said of it last."""
        self._logged: dict[str, Told] = {}
        self.pending: list[Pending] = []
        self.offline_since_ms: int | None = None
        """What was told last of our network."""

    # -- commit ------------------------------------------------------------------------------------

    def restore(self, state: Mapping[bytes, bytes]) -> None:
        """Go back to what the state hash says was told; what is pending of breakers is found again in their hashes."""
        texts = {field.decode(): value.decode() for field, value in state.items()}
        marks = {field[len(_TOLD) :]: value for field, value in texts.items() if field.startswith(_TOLD)}
        self._told = {source: Told(*(int(part) for part in mark.split(":"))) for source, mark in marks.items()}
        self.offline_since_ms = int(texts.get(_OFFLINE, "0")) or None
        self._metrics.gauge("md_offline", float(self.offline_since_ms is not None))
        self.pending = [event for event in self.pending if event.mark is None]

    def commands(self, stream: str, state: str) -> list[Command]:
        """Return what commits all pending events: entries of the stream, and how far was told to the state hash."""
        entries: list[Command] = [("XADD", stream, "*", FIELD, encode(p.event)) for p in self.pending]
        marks = dict(p.mark for p in self.pending if p.mark is not None)
        return [*entries, *(("HSET", state, field, value) for field, value in marks.items())]

    def committed(self, count: int) -> None:
        """Forget the oldest `count` events: they are in the stream."""
        del self.pending[:count]

    # -- breakers ----------------------------------------------------------------------------------

    def breaker(self, source: str, stored: Mapping[bytes, bytes]) -> None:
        """Tell the changes in a breaker's hash that were not told yet, whoever made them."""
        view = view_of(stored)
        told = self._told.get(source, Told())
        if not self._tells_breakers or told == Told(view.born_ms, view.transitions):
            return
        for change in changes_of(stored):
            if change.born_ms != told.born_ms or change.number > told.number:
                self._tell(source, change)

    def transition(self, source: str, change: Transition | None) -> bool:
        """Tell a change of our own making. False: others came before it, so that the breaker's hash must be read."""
        if change is None or not self._tells_breakers:
            return True
        told = self._told.get(source, Told(change.born_ms))
        if (told.born_ms, told.number + 1) != (change.born_ms, change.number):
            return False
        self._tell(source, change)
        return True

    def _tell(self, source: str, change: Transition) -> None:
        self._told[source] = told = Told(change.born_ms, change.number)
        event = _OF_OPERATOR.get(change.reason, _OF_STATE[change.after])
        fields: Fields = {"before": str(change.before), "after": str(change.after), "reason": str(change.reason)}
        fields |= {"failures": change.failures, "number": change.number}
        if change.reason in _OF_OPERATOR:
            fields |= {"by": change.by, "why": change.why}
        detail = change.why if change.reason in _OF_OPERATOR else change.error
        mark = (f"{_TOLD}{source}", f"{told.born_ms}:{told.number}")
        self._add(source, event, change.at_ms, str(change.number), detail, fields, mark)
        if not _is_after(self._logged.get(source, Told()), told):
            return
        self._logged[source] = told
        say = log.warning if change.after is State.OPEN or change.reason in _OF_OPERATOR else log.info
        say(event, source=source, error=change.error, **fields)
        self._metrics.count("md_breaker_transitions_total", source=source, state=change.after)

    # -- the others --------------------------------------------------------------------------------

    def network(self, since_ms: int | None, now_ms: int) -> None:
        """Note that we are offline (since when), or that we are no longer."""
        before, self.offline_since_ms = self.offline_since_ms, since_ms
        self._metrics.gauge("md_offline", float(since_ms is not None))
        if (before is None) is (since_ms is None):
            return
        event = "network.online" if since_ms is None else "network.offline"
        lasted_ms = 0 if before is None else max(0, now_ms - before)
        at_ms = now_ms if since_ms is None else since_ms
        say = log.warning if since_ms is not None else log.info
        say(event, since=iso(before or at_ms), lasted_s=lasted_ms // 1000)
        self._add(NETWORK, event, at_ms, "", "", {"lasted_ms": lasted_ms}, (_OFFLINE, str(since_ms or 0)))

    def refusal(self, source: str, symbol: str, block: Block) -> None:
        """Note that a source (symbol empty) or a symbol at it is left alone for a while.

        What is refused again and again for the same reason, with nothing served between, is said once.
        """
        event, again = f"source.{block.verdict}", self._refused.get((source, symbol)) == block.verdict
        self._refused[source, symbol] = block.verdict
        say = log.debug if again and block.verdict != Verdict.RATE_LIMITED else log.warning
        say(
            event,
            source=source,
            symbol=symbol,
            left_alone_s=(block.until_ms - block.at_ms) // 1000,
            detail=block.detail,
        )
        fields: Fields = {"symbol": symbol, "until_ms": block.until_ms}
        self._add(source, event, block.at_ms, symbol, block.detail, fields)

    def served(self, source: str, symbols: Iterable[str]) -> None:
        """Note that a source gave prices: its next refusal is news."""
        if self._refused:
            for symbol in symbols:
                self._refused.pop((source, symbol), None)
                self._refused.pop((source, ""), None)

    def quota(self, source: str, event: str, at_ms: int, detail: str) -> None:
        """Note that a counter of calls was begun, rebuilt or lost."""
        log.warning(event, source=source, detail=detail)
        self._add(source, event, at_ms, "", detail, {})

    def _add(
        self, source: str, event: str, at_ms: int, which: str, detail: str, fields: Fields,
        mark: tuple[str, str] | None = None,
    ) -> None:  # fmt: skip
        identity = f"{source}|{event}|{which}|{at_ms}"
        self.pending.append(Pending(SourceEvent(source, event, at_ms, identity, detail, fields), mark))


def _is_after(earlier: Told, later: Told) -> bool:
    return later.born_ms != earlier.born_ms or later.number > earlier.number
