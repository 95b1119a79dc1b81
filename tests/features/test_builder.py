"""Bars from quotes."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from features.builder import Forming, OpenBars, admit, finish, split
from features.coverage import NOT_COVERED, Coverage, covers, observe
from tests.features.support import quote

MINUTE = 60_000


def build(*quotes: tuple[int, float]) -> OpenBars:
    """Open bars of quotes (market_ms, price), in the order of arrival."""
    bars: OpenBars = ()
    for market_ms, price in quotes:
        bars = admit(bars, quote("EURUSD", market_ms, price), MINUTE)
    return bars


def ohlc(bar: Forming) -> tuple[float, float, float, float]:
    return bar.open, bar.high, bar.low, bar.close


def test_open_and_close_go_by_market_time_whatever_the_order_of_arrival() -> None:
    quotes = [(1_000, 5.0), (2_000, 9.0), (3_000, 4.0), (4_000, 6.0)]

    for order in permutations(quotes):
        (bar,) = build(*order)
        assert ohlc(bar) == (5.0, 9.0, 4.0, 6.0)
        assert bar.ticks == 4


def test_of_quotes_that_share_a_millisecond_the_first_opens_and_the_last_closes() -> None:
    (bar,) = build((1_000, 5.0), (1_000, 9.0), (1_000, 7.0))

    assert ohlc(bar) == (5.0, 9.0, 5.0, 7.0)


@given(st.lists(st.tuples(st.integers(0, 5 * MINUTE - 1), st.floats(1, 2)), min_size=1, max_size=40))
def test_every_bucket_with_a_quote_and_no_other_is_a_bar(quotes: list[tuple[int, float]]) -> None:
    bars = build(*quotes)

    expected: dict[int, list[tuple[int, float]]] = {}
    for market_ms, price in quotes:
        expected.setdefault(market_ms // MINUTE * MINUTE, []).append((market_ms, price))
    assert [bar.open_ms for bar in bars] == sorted(expected)
    for bar in bars:
        members = expected[bar.open_ms]
        in_time = sorted(members, key=lambda q: q[0])  # stable: arrival decides among equals
        in_order = (in_time[0][1], max(p for _, p in members), min(p for _, p in members), in_time[-1][1])
        assert (*ohlc(bar), bar.ticks) == (*in_order, len(members))


def test_a_bar_closes_when_the_horizon_reaches_its_end() -> None:
    bars = build((0, 1.0), (MINUTE, 2.0), (2 * MINUTE, 3.0))

    assert split(bars, MINUTE, MINUTE - 1) == ((), bars)
    assert split(bars, MINUTE, MINUTE) == (bars[:1], bars[1:])
    assert split(bars, MINUTE, 3 * MINUTE) == (bars, ())


def test_volume_adds_up_and_names_its_kind() -> None:
    bars = admit((), quote("EURUSD", 0, 1.0, volume=3.0, kind="traded"), MINUTE)
    bars = admit(bars, quote("EURUSD", 1, 1.0, volume=4.0, kind="traded"), MINUTE)

    assert (bars[0].volume, bars[0].volume_kind) == (7.0, "traded")


def test_volumes_of_two_kinds_in_one_bar_are_no_volume() -> None:
    bars = admit((), quote("EURUSD", 0, 1.0, volume=3.0, kind="traded"), MINUTE)
    bars = admit(bars, quote("EURUSD", 1, 1.0, volume=4.0, kind="ticks"), MINUTE)
    bars = admit(bars, quote("EURUSD", 2, 1.0, volume=5.0, kind="traded"), MINUTE)

    assert (bars[0].volume, bars[0].volume_kind) == (0.0, "none")


def test_the_source_is_that_of_the_closing_quote() -> None:
    bars = admit((), quote("EURUSD", 2_000, 1.0, source="twelvedata"), MINUTE)
    bars = admit(bars, quote("EURUSD", 1_000, 1.0, source="yahoo"), MINUTE)

    assert finish(bars[0], "EURUSD", "1m", "fx_spot", complete=True).source == "twelvedata"


def test_a_bar_is_complete_if_collecting_had_begun_before_it_opened() -> None:
    since = observe(NOT_COVERED, None, 90_000, 30_000)

    assert not covers(since, 60_000, 120_000, 0)
    assert covers(since, 120_000, 180_000, 0)


def test_late_quotes_by_contract_move_the_coverage() -> None:
    since = observe(NOT_COVERED, None, 700_000, 30_000)

    assert not covers(since, 60_000, 120_000, 600_000)
    assert covers(since, 120_000, 180_000, 600_000)


def test_a_break_in_collecting_leaves_the_bars_that_it_touched_incomplete() -> None:
    before = Coverage(0)
    after = observe(before, 125_000, 400_000, 30_000)

    complete = [covers(after, open_ms, open_ms + MINUTE, 0) for open_ms in range(0, 9 * MINUTE, MINUTE)]
    assert complete == [True, True, False, False, False, False, False, True, True]


def test_a_slow_cycle_is_no_break() -> None:
    assert observe(Coverage(0), 100_000, 130_000, 30_000) == Coverage(0)
