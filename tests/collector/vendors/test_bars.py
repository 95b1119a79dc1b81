"""What is kept of a vendor's rows of history, whoever the vendor is."""

from collector.vendors.bars import pieces, settled
from common.messages import RawBar

HOUR_MS = 3_600_000


def bar(open_ms: int, close: float = 1.5) -> RawBar:
    """Return a bar that is not flat."""
    return RawBar(open_ms, 1.0, 2.0, 0.5, close)


def test_a_stamp_off_the_grid_is_no_bar() -> None:
    half_past = [bar(HOUR_MS // 2), bar(HOUR_MS), bar(HOUR_MS + 1_000)]
    assert settled(half_past, "1h", None, 9 * HOUR_MS) == (bar(HOUR_MS),)


def test_bars_come_oldest_first_and_each_open_time_once_with_its_later_row() -> None:
    rows = [bar(120_000), bar(60_000, 1.1), bar(60_000, 1.2)]
    assert settled(rows, "1m", None, HOUR_MS) == (bar(60_000, 1.2), bar(120_000))


def test_a_bar_counts_from_the_moment_of_its_end() -> None:
    assert settled([bar(60_000)], "1m", None, 119_999) == ()
    assert settled([bar(60_000)], "1m", None, 120_000) == (bar(60_000),)


def test_the_span_includes_its_start_and_not_its_end() -> None:
    rows = [bar(m * 60_000) for m in range(5)]
    assert settled(rows, "1m", (60_000, 180_000), HOUR_MS) == (bar(60_000), bar(120_000))


def test_pieces_cover_the_span_once() -> None:
    assert pieces(5, 26, 10) == ((5, 15), (15, 25), (25, 26))
    assert pieces(5, 5, 10) == pieces(6, 5, 10) == ()
