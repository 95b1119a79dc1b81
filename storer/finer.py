"""A longer bar from the repaired bars of the shortest timeframe: no vendor needs to be asked for it."""

from collections.abc import Sequence
from typing import cast

from common.messages import Bar, VolumeKind
from storer.backfill import Lane
from storer.gap_rows import FinerBar, GapRows
from storer.gaps import Watched


def from_finer(rows: GapRows, watched: Watched, from_ms: int, to_ms: int) -> tuple[list[Bar], frozenset[int]]:
    """Return the bars that open in [from_ms, to_ms), and when those would open that did not trade.

    A bar is left out where one of its parts is neither there nor known not to have traded.
    """
    lane, length_ms = watched.lane, watched.lane.bar_ms
    finest = watched._replace(lane=Lane(lane.symbol, lane.source_class, watched.finest))
    end_ms = to_ms + length_ms
    parts = {bar.open_ms: bar for bar in rows.whole_bars(finest.lane, from_ms, end_ms)}
    silent = rows.in_state(finest.lane, "no_trade", from_ms, end_ms)
    doubted = rows.in_state(finest.lane, "missing", from_ms, end_ms)
    made: list[Bar] = []
    quiet: set[int] = set()
    for open_ms in watched.expected(from_ms, to_ms):
        opens = list(finest.expected(open_ms, open_ms + length_ms))
        held = [parts[at_ms] for at_ms in opens if at_ms in parts and not _lies_in(at_ms, doubted)]
        if len(held) + sum(_lies_in(at_ms, silent) for at_ms in opens if at_ms not in parts) < len(opens):
            continue
        if held:
            made.append(_joined(lane, open_ms, held))
        else:
            quiet.add(open_ms)
    return made, frozenset(quiet)


def _lies_in(at_ms: int, stretches: Sequence[tuple[int, int]]) -> bool:
    return any(from_ms <= at_ms < to_ms for from_ms, to_ms in stretches)


def _joined(lane: Lane, open_ms: int, parts: list[FinerBar]) -> Bar:
    kinds = {part.volume_kind for part in parts}
    kind = cast(VolumeKind, kinds.pop()) if len(kinds) == 1 else "none"
    return Bar(
        symbol=lane.symbol,
        timeframe=lane.timeframe,
        open_ms=open_ms,
        open=parts[0].open,
        high=max(part.high for part in parts),
        low=min(part.low for part in parts),
        close=parts[-1].close,
        volume=sum(part.volume for part in parts) if kind != "none" else 0.0,
        volume_kind=kind,
        ticks=sum(part.ticks for part in parts),
        source=parts[-1].source,
        source_class=lane.source_class,
        repaired=True,
    )
