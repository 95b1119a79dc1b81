"""What is known of each bar that was to be expected: there, there in part, missing, on its way, or told already."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from storer.backfill import MINUTE_MS, Lane
from storer.gap_rows import GapRows
from storer.gaps import Held, Slot, Watched, lacking

# A bar whose quotes are here is on its way, however far behind the engine is; but not for ever.
PATIENCE_MS = 60 * MINUTE_MS


class _Known(NamedTuple):
    """What is stored of a stretch of a lane."""

    held: Mapping[int, Held]
    quoted: set[int]
    """Open times of the bars that quotes came in time for."""
    told: Sequence[tuple[int, int]]
    """Stretches that rows of the ledger speak of already."""
    holes: Sequence[tuple[int, int]]
    """Stretches in which a vendor's history proved quotes to be missing."""
    newest_built_ms: int


def slots_of(rows: GapRows, watched: Watched, from_ms: int, to_ms: int, now_ms: int) -> Iterator[tuple[Slot, bool]]:
    """Yield what is known of each bar expected in [from_ms, to_ms), and whether it is on its way."""
    known = _known(rows, watched, from_ms, to_ms)
    for open_ms in watched.expected(from_ms, to_ms):
        bar = known.held.get(open_ms)
        if any(first <= open_ms < end for first, end in known.told):
            yield Slot(open_ms, "elsewhere"), False
        elif bar is not None:
            doubted = bar.origin == "built" and not bar.repaired and _in_hole(watched, open_ms, known)
            whole = bar.good and not doubted
            yield Slot(open_ms, "present") if whole else lacking(open_ms, watched, now_ms, partial=True), False
        elif open_ms in known.quoted and open_ms > max(known.newest_built_ms, now_ms - PATIENCE_MS):
            yield Slot(open_ms, "elsewhere"), True
        else:
            yield lacking(open_ms, watched, now_ms, partial=False), False


def _known(rows: GapRows, watched: Watched, from_ms: int, to_ms: int) -> _Known:
    lane, margin_ms = watched.lane, watched.finest_ms
    finest = Lane(lane.symbol, lane.source_class, watched.finest)
    return _Known(
        rows.held(lane, from_ms, to_ms),
        rows.quoted(lane, from_ms, to_ms),
        rows.told(lane, from_ms, to_ms),
        rows.holes(finest, from_ms - margin_ms, to_ms + margin_ms),
        rows.newest_built_ms(lane, from_ms),
    )


def _in_hole(watched: Watched, open_ms: int, known: _Known) -> bool:
    """Tell whether a bar lies in a hole, or holds the minute in which the hole began or ended."""
    margin_ms, end_ms = watched.finest_ms, open_ms + watched.lane.bar_ms
    return any(first - margin_ms < end_ms and open_ms < end + margin_ms for first, end in known.holes)
