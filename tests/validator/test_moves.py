"""Spikes are kept out, real moves get in."""

import math
import random

import pytest

from common.messages import Quote, Reject
from tests.validator.support import NEW_YORK_OPEN, T0, arrived, judged, quote, story, validator
from validator.stage import Validator
from validator.state import Level, Observation, Series, after_accepted


def walk(judge: Validator, prices: list[float], *, step_ms: int = 1000, from_ms: int = T0) -> list[Quote | Reject]:
    return judged(judge, *(arrived(quote(p, from_ms + i * step_ms)) for i, p in enumerate(prices)))


def calm(judge: Validator) -> None:
    """Forty seconds of EURUSD around 1.1."""
    dice = random.Random(1)
    assert "reject:spike" not in story(walk(judge, [1.1 + dice.gauss(0, 2e-5) for _ in range(40)]))


def after_calm(prices: list[float], *, step_ms: int = 1000, silence_ms: int = 0) -> list[str]:
    judge = validator()
    calm(judge)
    return story(walk(judge, prices, step_ms=step_ms, from_ms=T0 + 40_000 + silence_ms))


def test_single_spike_is_rejected_and_the_series_goes_on() -> None:
    for bad in (11.0, 0.11, 1.122, 1.078):
        assert after_calm([1.1, bad, 1.10001, 1.10002]) == ["ok", "reject:spike", "ok", "ok"]


def test_several_spikes_that_disagree_are_all_rejected() -> None:
    assert after_calm([1.2, 1.0, 1.3, 0.9, 1.1]) == ["reject:spike"] * 4 + ["ok"]


def test_spike_repeated_in_between_never_becomes_a_level() -> None:
    assert after_calm([1.13, 1.1, 1.13, 1.10001, 1.13, 1.10002, 1.13]) == ["reject:spike", "ok"] * 3 + ["reject:spike"]


def test_real_move_is_believed_with_the_third_quote_that_agrees() -> None:
    assert after_calm([1.13, 1.1301, 1.1299, 1.1302, 1.1303]) == ["reject:spike"] * 3 + ["ok:level_confirmed", "ok"]


def test_real_move_is_believed_when_it_has_lasted() -> None:
    assert after_calm([1.13, 1.1301], step_ms=30_000) == ["reject:spike", "ok:level_confirmed"]


def test_error_of_scale_is_not_believed_soon_but_not_rejected_for_ever() -> None:
    verdicts = after_calm([11.0 + i / 10_000 for i in range(310)])
    assert verdicts[:300] == ["reject:spike"] * 300
    assert verdicts[300:302] == ["ok:level_confirmed", "ok"]


def test_real_news_jump_is_accepted_with_a_lower_score() -> None:
    # NFP of 2014-05-02: EURUSD jumped 15.1 bp from one quote to the next, gold 40.9 bp.
    judge = validator()
    calm(judge)
    found = walk(judge, [1.1 * math.exp(-0.004_09)], from_ms=T0 + 40_000)
    assert story(found) == ["ok:jump"]
    assert 0.5 < found[0].score < 0.9


def test_gap_at_the_opening_is_accepted_after_a_long_silence_only() -> None:
    weekend_ms = 49 * 3_600_000
    assert after_calm([1.133], silence_ms=weekend_ms) == ["ok:gap"]
    assert after_calm([1.133]) == ["reject:spike"]


def test_spike_is_caught_after_any_silence() -> None:
    assert after_calm([11.0, 1.1], silence_ms=7 * 86_400_000) == ["reject:spike", "ok"]


def test_quotes_that_are_impossible_anyway_are_no_witnesses_for_a_level() -> None:
    judge = validator()
    calm(judge)
    crossed = [arrived(quote(1.13, T0 + 40_000 + i * 1000, bid=1.14, ask=1.12)) for i in range(5)]
    assert story(judged(judge, *crossed)) == ["reject:crossed_quote"] * 5
    assert story(walk(judge, [1.13, 1.1301, 1.1302], from_ms=T0 + 46_000)) == ["reject:spike"] * 3


def test_older_quote_does_not_become_the_price_to_compare_with() -> None:
    judge = validator()
    calm(judge)
    older = arrived(quote(1.106, T0 + 35_000), received_ms=T0 + 40_000)
    (marked,) = judged(judge, older)
    assert isinstance(marked, Quote)
    # 0.6 % from the newest price, 1.1 % from the older quote's.
    assert story(walk(judge, [1.094], from_ms=T0 + 41_000)) == ["ok:jump"]


def test_confirmed_level_does_not_set_the_market_time_back() -> None:
    before = Series(1.1, T0, (1e-5,), Level(1.13, T0, T0, 4))
    proof = Observation(T0 - 1000, T0, 1.13, 1.13, None, None, None, None, market_time=True)
    assert after_accepted(before, proof, confirmed=True) == Series(1.13, T0, (1e-5,))


def test_only_the_newest_64_moves_are_kept() -> None:
    series: Series | None = None
    for i in range(100):
        at_ms = T0 + i * 1000
        seen = Observation(at_ms, at_ms, math.exp(i / 1000), None, None, None, None, None, market_time=True)
        series = after_accepted(series, seen, confirmed=False)
    assert series is not None
    assert series.moves == pytest.approx((0.001,) * 64)


def test_second_source_of_a_class_is_compared_with_the_first() -> None:
    judge = validator()
    calm(judge)
    other = arrived(quote(1.2, T0 + 41_000), source="yahoo")
    right = arrived(quote(1.10001, T0 + 42_000), source="yahoo")
    assert story(judged(judge, other, right)) == ["reject:spike", "ok"]


def test_classes_of_one_symbol_are_never_compared() -> None:
    at_ms = NEW_YORK_OPEN
    future = arrived(quote(20_100.0, at_ms, symbol="NAS100", source_class="cme_nq_future"), source="yahoo")
    cash = arrived(quote(19_000.0, at_ms, symbol="NAS100", source_class="ndx_cash"), source="yahoo")
    assert story(judged(validator(), future, cash)) == ["ok:first_quote", "ok:first_quote"]


def test_high_threshold_does_not_reject_a_real_move_for_ever() -> None:
    judge = validator(reject_score=0.75)
    calm(judge)
    # 0.6 % is a jump with a score of about 0.7.
    verdicts = story(walk(judge, [1.1066 + i / 100_000 for i in range(6)], from_ms=T0 + 40_000))
    assert verdicts[0] == "reject:jump"
    assert verdicts[-1] == "ok"


def test_made_walk_with_injected_defects_loses_the_defects_and_nothing_else() -> None:
    dice = random.Random(20_260_105)
    judge, price = validator(), 1.1
    good, bad = [], []
    for i in range(6_000):
        at_ms = T0 + i * 1000
        price *= math.exp(dice.gauss(0, 3e-5))
        if i > 50 and i % 50 == 0:
            factor = dice.choice([10.0, 0.1, 1.02, 0.98])
            bad += judged(judge, arrived(quote(price * factor, at_ms - 500)))
        good += judged(judge, arrived(quote(price, at_ms)))
    assert {type(v) for v in good} == {Quote}
    assert set(story(bad)) == {"reject:spike"}
