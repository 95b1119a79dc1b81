"""The comparison of two ways into a series, by its pure functions."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.compare import (
    CAP,
    FLOOR,
    MATCH_MS,
    SAMPLES,
    USUAL_ENOUGH,
    USUAL_EVERY_MS,
    Gauge,
    Pair,
    Sample,
    Track,
    after_comparison,
    after_quote,
    measure,
    turned,
    usual_of,
)
from validator.state import Observation
from validator.vote import CHECK, View, opinion_of, way_of

T0 = 1_767_621_600_000
EURO = Gauge(0.000_01, 0.0)
"""Of a pair that usually agrees to the tick, in a market that does not move."""


def track(*told: tuple[int, float], market_time: bool = True) -> Track:
    """Return a track of (milliseconds after T0, price)."""
    return Track(tuple(Sample(T0 + at, price, 0.0) for at, price in told), T0, market_time)


def quote(at_ms: int, price: float, bid: float | None = None, ask: float | None = None) -> Observation:
    return Observation(T0 + at_ms, T0 + at_ms + 300, price, price, bid, ask, None, None, market_time=True)


def compared(own: Track, other: Track, gauge: Gauge = EURO) -> tuple[bool, bool]:
    """Return whether they agree now, and at the newest time that both have reached."""
    found = measure(own, other, gauge)
    assert found is not None
    return found[0].agrees, found[1].agrees


def test_half_a_pip_is_no_disagreement_and_twenty_pips_are() -> None:
    assert compared(track((0, 1.10005)), track((0, 1.1))) == (True, True)
    assert compared(track((0, 1.102)), track((0, 1.1))) == (False, False)


def test_the_difference_is_the_logarithm_of_the_prices_quotient() -> None:
    found = measure(track((0, 1.102)), track((0, 1.1)), EURO)
    assert found is not None
    assert found[0].size == pytest.approx(0.001_816_5, abs=1e-7)  # ln(1.102 / 1.1), by hand: 0.0018165
    assert turned(found[0]).size == -found[0].size


def test_a_coarse_tick_is_no_disagreement() -> None:
    # 20 ticks of 0.25 are 5 points: 10 basis points at 5,000.
    gauge = Gauge(0.25, 0.0)
    assert compared(track((0, 5_004.75)), track((0, 5_000.0)), gauge) == (True, True)
    assert compared(track((0, 5_005.25)), track((0, 5_000.0)), gauge) == (False, False)


def test_prices_of_different_times_may_differ_by_the_move_meanwhile() -> None:
    # Both move by 1e-4 a second to and fro, but for the last price. The median of normal moves is 0.6745 of their
    # standard deviation, and six of those are allowed, with the root of the time.
    def swaying(last_ms: int, last: float) -> Track:
        return track(
            *((last_ms - 1_000 * i, 1.1 * math.exp(1e-4 * (i % 2))) for i in range(20, 0, -1)), (last_ms, last)
        )

    for apart_s in (4, 50):
        allowed = FLOOR + 6 * 1e-4 / 0.6745 * math.sqrt(apart_s)
        for share, expected in ((0.98, True), (1.02, False)):
            sparse = track((0, 1.1 * math.exp(share * allowed)))
            assert compared(sparse, swaying(-1000 * apart_s, 1.1), Gauge(1e-9, 0.0))[0] is expected, (apart_s, share)


def test_a_source_that_sways_alone_does_not_widen_the_limit() -> None:
    calm = track(*((-1_000 * i, 1.1) for i in range(20, -1, -1)))
    swaying = track(*((-1_000 * i, 1.1 + 0.002 * (i % 2 == 0)) for i in range(20, -1, -1)))
    assert compared(swaying, calm) == (False, False)


def test_a_move_that_the_other_has_not_seen_yet_is_no_disagreement_of_the_two() -> None:
    jumped = track((-2_000, 1.1), (-1_000, 1.1), (0, 1.103))
    assert compared(jumped, track((-2_000, 1.1), (-1_000, 1.10002))) == (False, True)


def test_a_delayed_source_is_compared_with_what_the_prompt_one_was_then() -> None:
    prompt = track(*((at, 1.1 + 1e-6 * (at // 1000)) for at in range(-600_000, 1_000, 20_000)))
    late = 1.1 - 1e-6 * 300  # what the prompt one was 300 s ago: 3 pips below its newest
    assert compared(track((-300_000, late)), prompt) == (True, True)
    assert compared(track((-300_000, 1.1 + 20e-4)), prompt) == (False, False)


def test_a_jump_between_two_samples_lies_anywhere_between_them() -> None:
    jumped = track((-10_000, 1.1), (10_000, 1.105))
    for price in (1.1, 1.102, 1.105):
        assert compared(track((0, price)), jumped) == (True, True)
    assert compared(track((0, 1.12)), jumped) == (False, False)


def test_clocks_that_differ_by_two_seconds_do_not_disagree_at_a_jump() -> None:
    jumped = track((-4_000, 1.1), (-3_000, 1.1), (-2_000, 1.105), (-1_000, 1.105), (0, 1.105))
    behind = track((-4_000, 1.1), (-3_000, 1.1), (-2_000, 1.1), (-1_000, 1.1), (0, 1.105))
    assert compared(behind, jumped) == (True, True)


def test_a_price_without_a_time_may_be_half_a_minute_old() -> None:
    moved = track((-25_000, 1.1), (-12_000, 1.101), (0, 1.102))
    assert compared(track((0, 1.1), market_time=False), moved) == (True, True)
    assert compared(track((0, 1.1)), moved) == (False, False)
    assert compared(track((0, 1.09), market_time=False), moved) == (False, False)


def test_prices_too_far_apart_in_time_are_not_compared() -> None:
    assert measure(track((0, 1.1)), track((-MATCH_MS - 1, 1.1)), EURO) is None
    assert measure(track((0, 1.1)), track((-MATCH_MS, 1.1)), EURO) is not None


def test_spreads_that_overlap_are_no_disagreement() -> None:
    wide = after_quote(None, quote(0, 1.1003, bid=1.1001, ask=1.1005), 1000)
    narrow = after_quote(None, quote(0, 1.1), 1000)
    assert compared(wide, narrow) == (False, False)
    wider = after_quote(None, quote(0, 1.1003, bid=1.0999, ask=1.1007), 1000)
    assert compared(wider, narrow) == (True, True)


def test_what_is_usual_for_a_pair_is_allowed_up_to_a_cap() -> None:
    three_pips = track((0, 1.1003)), track((0, 1.1))
    assert compared(*three_pips, Gauge(1e-5, 0.000_05)) == (False, False)
    assert compared(*three_pips, Gauge(1e-5, 0.000_27)) == (True, True)
    twenty_pips = track((0, 1.102)), track((0, 1.1))
    assert compared(*twenty_pips, Gauge(1e-5, 0.001_8)) == (False, False)  # however long it has been so


def test_the_usual_is_learned_slowly_and_from_enough_comparisons() -> None:
    found = measure(track((0, 1.10005)), track((0, 1.1)), EURO)
    assert found is not None
    pair: Pair | None = None
    for i in range(USUAL_ENOUGH * 10):
        assert (usual_of(pair) is not None) == (pair is not None and len(pair.usual) >= USUAL_ENOUGH)
        pair = after_comparison(pair, found[0], agree=True, now_ms=T0 + i * USUAL_EVERY_MS // 10, market_ms=T0)
    assert pair is not None
    assert len(pair.usual) == USUAL_ENOUGH
    assert usual_of(pair) == pytest.approx(0.000_045_45, abs=1e-8)  # ln(1.10005 / 1.1), by hand


def test_a_pair_remembers_since_when_it_disagrees_and_forgets_it_when_it_agrees() -> None:
    found = measure(track((0, 1.102)), track((0, 1.1)), EURO)
    assert found is not None
    since = []
    pair: Pair | None = None
    for i, agree in enumerate((True, False, False, True, False)):
        pair = after_comparison(pair, found[0], agree, T0 + i, T0)
        since.append(pair.since_ms)
    assert since == [None, T0 + 1, T0 + 1, None, T0 + 4]


prices = st.floats(1e-6, 1e9)
tracks = st.builds(
    lambda told, clocked: track(*sorted(told), market_time=clocked),
    st.lists(st.tuples(st.integers(-90_000, 0), prices), min_size=1, max_size=8, unique_by=lambda pair: pair[0]),
    st.booleans(),
)
gauges = st.builds(Gauge, st.floats(1e-9, 1.0), st.none() | st.floats(0, 1))


@given(tracks, tracks, gauges)
def test_both_sides_see_the_same_difference(one: Track, other: Track, gauge: Gauge) -> None:
    here, there = measure(one, other, gauge), measure(other, one, gauge)
    assert (here is None) == (there is None)
    if here is not None and there is not None and not (here[0].agrees or there[0].agrees):
        assert here[1].size == -there[1].size


@given(tracks, st.floats(-0.01, 0.01), gauges)
def test_equal_tracks_agree_and_a_small_offset_never_disagrees(one: Track, offset: float, gauge: Gauge) -> None:
    shifted = Track(
        tuple(s._replace(price=s.price * math.exp(offset)) for s in one.samples), one.received_ms, one.market_time
    )
    found = measure(one, shifted, gauge)
    assert found is not None
    assert found[0].limit >= FLOOR
    if abs(offset) < FLOOR * 0.999:
        assert found[0].agrees
    if len(one.samples) == 1 and abs(offset) > max(CAP, 20 * gauge.tick_size / shifted.samples[0].price) * 1.001:
        assert not found[1].agrees


@given(st.lists(st.tuples(st.integers(0, 5_000), prices), min_size=1, max_size=200), st.integers(1_000, 20_000))
def test_a_track_is_small_ordered_spaced_and_ends_with_the_newest(steps: list[tuple[int, float]], spacing: int) -> None:
    kept: Track | None = None
    at = 0
    for step, price in steps:
        at += step
        kept = after_quote(kept, quote(at, price), spacing)
    assert kept is not None
    times = [sample.market_ms - T0 for sample in kept.samples]
    assert len(times) <= SAMPLES
    assert (times[-1], kept.samples[-1].price) == (at, steps[-1][1])
    assert all(b - a >= spacing for a, b in pairwise(times[:-1]))
    assert times == sorted(set(times))
    older = after_quote(kept, quote(at - 1, 5.0), spacing)
    assert older.samples == kept.samples


# -- the vote --------------------------------------------------------------------------------------


def views(own: float, *others: tuple[str, float]) -> list[View]:
    found = []
    for way, price in others:
        seen = measure(track((0, own)), track((0, price)), EURO)
        assert seen is not None
        found.append(View(way, *seen))
    return found


def said(own: float, *others: tuple[str, float], own_way: str = "a") -> str:
    opinion = opinion_of(own_way, views(own, *others), 1e-5)
    return opinion.mark.reason if opinion.mark is not None else "supported" if opinion.supported else ""


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        (1.1, (), ""),
        (1.1, (1.1,), ""),
        (1.1, (1.102,), "disagrees"),
        # Of three the middle wins; who is with it keeps the score.
        (1.102, (1.1, 1.10001), "outvoted"),
        (1.098, (1.1, 1.10001), "outvoted"),
        (1.1, (1.10001, 1.102), "supported"),
        # Three that all differ: the middle one stays, doubted; the outer ones are out.
        (1.1, (1.102, 1.104), "outvoted"),
        (1.102, (1.1, 1.104), "disagrees"),
        (1.104, (1.1, 1.102), "outvoted"),
        # Two against two is no majority.
        (1.1, (1.1, 1.102, 1.102), "disagrees"),
        (1.1, (1.102, 1.102, 1.102), "outvoted"),
        (1.1, (1.1, 1.1, 1.102), "supported"),
        (1.1, (1.1, 1.1, 1.102, 1.102), "supported"),
        (1.1, (1.1, 1.102, 1.102, 1.102), "outvoted"),
        (1.1, (1.098, 1.098, 1.102, 1.102), "disagrees"),
    ],
)
def test_the_vote(own: float, others: tuple[float, ...], expected: str) -> None:
    assert said(own, *((f"v{i}", price) for i, price in enumerate(others))) == expected


def test_a_vendor_has_one_vote_however_its_prices_come() -> None:
    assert said(1.102, ("b", 1.1), ("b" + CHECK, 1.1)) == "disagrees"
    assert said(1.102, ("a" + CHECK, 1.1), ("b", 1.1)) == "disagrees"
    assert said(1.1, ("a" + CHECK, 1.102)) == "disagrees"
    assert said(1.102, ("b", 1.1), ("c" + CHECK, 1.1), own_way="a" + CHECK) == "outvoted"
    assert way_of("a", check=True) == "a" + CHECK


def test_the_detail_names_both_sources_their_prices_and_the_difference() -> None:
    opinion = opinion_of("yahoo", views(1.102, ("polygon", 1.1)), 1e-5)
    assert opinion.mark is not None
    assert opinion.mark.detail == (
        "yahoo 1.102 differs from polygon 1.1 by +18.2 bp (+200 ticks), allowed 1.8 bp"  # 20 ticks are 1.8 bp
    )


@given(st.lists(st.floats(1.0, 1.3), min_size=2, max_size=6), st.floats(1.0, 1.3))
def test_with_three_or_more_whoever_is_the_middle_is_never_out(others: list[float], own: float) -> None:
    ordered = sorted([*others, own])
    middle = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    verdict = said(own, *((f"v{i}", price) for i, price in enumerate(others)))
    if own in middle:
        assert verdict != "outvoted"
