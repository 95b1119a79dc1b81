"""What may be kept of a vendor's rows of history."""

from collections.abc import Iterable

from common.messages import TIMEFRAME_MS, RawBar, Timeframe


def settled(
    bars: Iterable[RawBar], timeframe: Timeframe, span: tuple[int, int] | None, now_ms: int
) -> tuple[RawBar, ...]:
    """Return the bars that are on the timeframe's grid, in the span and closed by now, oldest first.

    A stamp off the grid is a live point, no bar. Of two bars with one open time the later in the list is kept.
    """
    step_ms = TIMEFRAME_MS[timeframe]
    kept = {
        bar.open_ms: bar
        for bar in bars
        if bar.open_ms % step_ms == 0
        and bar.open_ms + step_ms <= now_ms
        and (span is None or span[0] <= bar.open_ms < span[1])
    }
    return tuple(kept[open_ms] for open_ms in sorted(kept))


def pieces(from_ms: int, to_ms: int, longest_ms: int) -> tuple[tuple[int, int], ...]:
    """Cut [from_ms, to_ms) into consecutive spans no longer than `longest_ms`, oldest first."""
    return tuple((start, min(start + longest_ms, to_ms)) for start in range(from_ms, to_ms, longest_ms))
