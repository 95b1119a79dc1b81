"""The walk-forward in words: what was promised inside beside what came of it outside."""

from collections.abc import Iterator
from datetime import UTC, datetime

from backtest.walk import INSIDE, Forward, Walked

HEAD = (
    f"{'strategy':<20} {'trades':>6} {'inside':>8} {'outside':>8} {'lost':>8} {'95 % interval':>18} {'gain':>8}"
    f" {'random':>8} {'beaten by':>9}  chosen"
)


def forward_lines(one: Forward) -> Iterator[str]:
    """Return the block of one history."""
    count = len(one.walked[0].picks) if one.walked else 0
    yield (
        f"  walk-forward: {count} times the best of up to {one.sets} sets, chosen on {INSIDE} parts and traded on the"
        f" next one; {_day(one.from_ms)} to {_day(one.to_ms)}; buy and hold there: {one.hold:+.2%}"
    )
    yield f"  {HEAD}"
    for walked in one.walked:
        yield f"  {_line(walked)}"
        yield f"  {'':<20} {walked.verdict}"
    if not any(walked.verdict.startswith("an edge") for walked in one.walked):
        yield "  NO STRATEGY HAS AN EDGE OUT OF SAMPLE, with parameters that were chosen before."


def _line(w: Walked) -> str:
    inside = "-" if w.inside_r is None else f"{w.inside_r:+.3f}"
    if not w.trades:
        return f"{w.strategy:<20} {0:>6} {inside:>8}"
    lost = "-" if w.inside_r is None else f"{w.inside_r - w.outside_r:+.3f}"
    interval = f"{w.low_r:+.3f} to {w.high_r:+.3f}"
    return (
        f"{w.strategy:<20} {w.trades:>6} {inside:>8} {w.outside_r:>+8.3f} {lost:>8} {interval:>18} {w.gain:>+8.2%}"
        f" {w.random_gain:>+8.2%} {w.random_beats:>9.1%}  {'; '.join(w.labels)}"
    )


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
