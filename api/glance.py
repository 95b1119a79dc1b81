"""All symbols of a partition at once: most have nothing to tell, and that is told of their columns alone."""

from collections.abc import Sequence
from functools import lru_cache

from api.freshness import SILENT_AFTER_MS
from api.pipeline_state import Columns, Members
from api.signal_account import account_refusal
from api.signal_advice import NO_SETUP, Unsized, Withheld, weigh
from api.signals_text import why_not
from api.trust import Ground, Question, delay_ms
from common.messages import SUSPECT_BELOW

PARTITIONS = 1_000
"""As many partitions are remembered at most: more than an installation has."""


def look_over(question: Question, columns: Columns, wanted: frozenset[str]) -> list[Unsized | Withheld]:
    """Return what `weigh` says of each symbol that is wanted (empty: all), in their order."""
    members, ground = columns.members, question.ground(columns.members.partition)
    found: list[Unsized | Withheld] = [*_silences(members)]
    for at in _unsure(question, columns, ground):
        if not wanted or members.names[at] in wanted:
            found[at] = weigh(question, columns.state(at))
    return [one for name, one in zip(members.names, found, strict=True) if name in wanted] if wanted else found


def _unsure(question: Question, columns: Columns, ground: Ground) -> Sequence[int]:
    """Return the places of all symbols but those that have no signal for sure, and nothing else to tell.

    It is sure of no more than `weigh` would say: the order of the conditions is that of how cheap they are.
    """
    members, now_ms = columns.members, ground.now.stream_ms
    if ground.refusal is not None or now_ms is None or account_refusal(question, ground) is not None:
        return range(len(members.symbols))
    trusted = _trusted(question, members, ground)
    rows = enumerate(zip(columns.lanes, columns.signals, columns.statuses, members.series, strict=True))
    return [
        at
        for at, (lane, signal, status, series) in rows
        if signal is not None
        or lane is None
        or status is None
        or (market_ms := lane.market_ms) is None
        or not 0 <= now_ms - market_ms <= SILENT_AFTER_MS
        or lane.warming
        or lane.delay_ms
        or (lane.score is not None and lane.score < SUSPECT_BELOW)
        or not lane.source_class == status.source_class == series
        or status.status != "ok"
        or series not in trusted
    ]


def _trusted(question: Question, members: Members, ground: Ground) -> set[str]:
    """Return the series whose own class is never late, and whose session is open."""
    classes, limits = question.table.classes, question.settings.limits
    return {series for series in _prompt(members, limits) if ground.is_open(classes[series].session)}


@lru_cache(maxsize=PARTITIONS)
def _prompt(members: Members, limits: str) -> frozenset[str]:
    """Return the series that are not late by contract, of any symbol and source."""
    late = {symbol.series for symbol in members.symbols if delay_ms(symbol, "", symbol.series, limits)}
    return frozenset(members.series) - late


@lru_cache(maxsize=PARTITIONS)
def _silences(members: Members) -> tuple[Withheld, ...]:
    bare = [Withheld(symbol, "no_signal", NO_SETUP) for symbol in members.symbols]
    return tuple(Withheld(one.symbol, one.reason, one.detail, why_not(one)) for one in bare)
