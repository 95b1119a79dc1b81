"""Since when collecting goes on without a break, to tell which bars hold all that happened in them."""

from msgspec import Struct


class Coverage(Struct, frozen=True):
    """The stretch of stream time that is collected now, and the one before the last break."""

    since_ms: int | None = None
    """None before the first clock entry."""
    before_from_ms: int = 0
    before_to_ms: int = 0


NOT_COVERED = Coverage()


def observe(coverage: Coverage, last_ms: int | None, now_ms: int, gap_ms: int) -> Coverage:
    """Return the coverage after a clock entry. last_ms: the clock entry before; a distance above gap_ms is a break."""
    if coverage.since_ms is None or last_ms is None:
        return Coverage(now_ms)
    if now_ms - last_ms <= gap_ms:
        return coverage
    return Coverage(now_ms, coverage.since_ms, last_ms)


def covers(coverage: Coverage, open_ms: int, end_ms: int, delay_ms: int) -> bool:
    """Tell whether the bar [open_ms, end_ms) was collected from its beginning to its end.

    delay_ms: how late the class's quotes are: collecting at a moment brings what happened so long before.
    """
    since = coverage.since_ms
    if since is not None and since - delay_ms <= open_ms:
        return True
    return coverage.before_from_ms - delay_ms <= open_ms and end_ms <= coverage.before_to_ms - delay_ms
