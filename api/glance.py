"""All symbols of a partition at once: most have nothing to tell, and that is told of their columns alone."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from api.freshness import SILENT_AFTER_MS
from api.signal_account import account_refusal
from api.signal_advice import NO_SETUP, Unsized, Withheld, weigh
from api.signals_text import why_not
from api.symbol_columns import Columns, Members
from api.trust import Ground, Question, delay_ms
from common.messages import SUSPECT_BELOW

Which = NDArray[np.bool_]
"""Of each symbol of a partition, whether something holds."""

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
    sure = _sound(columns, now_ms) & _trusted(question, members, ground)
    rows = enumerate(zip(sure.tolist(), columns.signals, columns.statuses, members.series, strict=True))
    return [
        at
        for at, (sound, signal, status, series) in rows
        if not sound or signal is not None or status is None or status.status != "ok" or status.source_class != series
    ]


def _sound(columns: Columns, now_ms: int) -> Which:
    """Tell of which symbols the engine's word is that their data is fresh, good, not late, and of their own class."""
    rows = columns.heads.rows
    market_ms = rows["market_ms"]
    found: Which = (
        (market_ms <= now_ms)
        & (market_ms >= now_ms - SILENT_AFTER_MS)
        & ~rows["warming"]
        & (rows["delay_ms"] == 0)
        & ~(rows["score"] < SUSPECT_BELOW)  # not a number: of no quote yet
        & (rows["source_class"] == columns.members.series_bytes)
    )
    return found


def _trusted(question: Question, members: Members, ground: Ground) -> Which:
    """Tell of which symbols the series' own class is never late, and its session open."""
    classes, prompt = question.table.classes, _prompt(members, question.settings.limits)
    kinds = [series in prompt and ground.is_open(classes[series].session) for series in members.kinds]
    return np.array(kinds, bool)[members.kind_of]


@lru_cache(maxsize=PARTITIONS)
def _prompt(members: Members, limits: str) -> frozenset[str]:
    """Return the series that are not late by contract, of any symbol and source."""
    late = {symbol.series for symbol in members.symbols if delay_ms(symbol, "", symbol.series, limits)}
    return frozenset(members.series) - late


@lru_cache(maxsize=PARTITIONS)
def _silences(members: Members) -> tuple[Withheld, ...]:
    bare = [Withheld(symbol, "no_signal", NO_SETUP) for symbol in members.symbols]
    return tuple(Withheld(one.symbol, one.reason, one.detail, why_not(one)) for one in bare)
