"""Each rule by example: what is said of a quote, and what becomes of it."""

import pytest

from common.messages import Quote, RawQuote, Reject
from tests.validator.support import NEW_YORK_OPEN, T0, arrived, clock, judged, only, quote, story, validator


def nas(last: float, at_ms: int, day_volume: float | None = None) -> RawQuote:
    """Return a raw quote of the future that Yahoo gives ten minutes late."""
    return quote(last, at_ms, day_volume=day_volume, symbol="NAS100", source_class="cme_nq_future")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (quote("NaN"), "not_a_number"),
        (quote("1.1"), "not_a_number"),
        (quote(float("nan")), "not_a_number"),
        (quote(float("inf")), "not_a_number"),
        (quote(1.1, day_volume="many"), "not_a_number"),
        (quote(0.0), "not_positive"),
        (quote(-1.1), "not_positive"),
        (quote(1.1, bid=0.0), "not_positive"),
        (quote(1e13), "out_of_range"),
        (quote(1e-12), "out_of_range"),
        (quote(1.1, day_volume=-1.0), "bad_volume"),
        (quote(), "no_price"),
        (quote(bid=1.1), "no_price"),
        (quote(1.1, T0 // 1000), "bad_time"),
        (quote(1.1, T0 * 1000), "bad_time"),
        (quote(bid=1.1002, ask=1.1), "crossed_quote"),
        (quote(1.1001, bid=1.1002, ask=1.1), "crossed_quote"),
        (quote(1.1, bid=1.15, ask=1.16), "last_outside"),
        (quote(1.1, symbol="DOGE"), "unknown_symbol"),
        (quote(1.1, source_class="gold_spot"), "unknown_listing"),
    ],
)
def test_bad_quote_is_quarantined_whole_with_its_reason(raw: RawQuote, reason: str) -> None:
    found = only(validator(), arrived(raw, received_ms=T0 + 300, name="7-3"))
    assert isinstance(found, Reject)
    assert (found.reason, found.raw, found.raw_id, found.raw_index) == (reason, raw, "7-3", 0)
    assert (found.symbol, found.source, found.received_ms) == (raw.symbol, "polygon", T0 + 300)
    assert 0 <= found.score < 0.5
    assert found.detail


def test_good_quote_has_full_score_and_its_origin() -> None:
    judge = validator()
    only(judge, arrived(quote(1.1)))
    assert only(judge, arrived(quote(1.1001, T0 + 1000, bid=1.1, ask=1.1002, tick=7), name="8-1")) == Quote(
        symbol="EURUSD", source="polygon", source_class="fx_spot", market_ms=T0 + 1000, received_ms=T0 + 1300,
        price=1.1001, raw_id="8-1", raw_index=0, last=1.1001, bid=1.1, ask=1.1002,
        volume=1.0, volume_kind="ticks", score=1.0, reasons=(), market_time=True, tick=7,
    )  # fmt: skip


def test_first_quote_of_a_series_is_accepted_and_marked() -> None:
    found = only(validator(), arrived(quote(1.1)))
    assert isinstance(found, Quote)
    assert (found.score, found.reasons) == (1.0, ("first_quote",))


def test_price_is_last_else_the_middle() -> None:
    judge = validator()
    first, second = judged(judge, arrived(quote(bid=1.0, ask=1.002), quote(1.0015, T0 + 1, bid=1.0, ask=1.002)))
    assert isinstance(first, Quote)
    assert isinstance(second, Quote)
    assert (first.price, second.price) == (1.001, 1.0015)


def test_quote_without_market_time_has_that_of_its_receipt() -> None:
    found = only(validator(), arrived(quote(1.1, None), received_ms=T0 + 5))
    assert isinstance(found, Quote)
    assert (found.market_ms, found.market_time) == (T0 + 5, False)


FRIDAY_CLOSE = 1_767_996_000_000
"""17:00 on Friday 2026-01-09 in New York."""
QUARTER, HOUR = 900_000, 3_600_000


@pytest.mark.parametrize(
    ("at_ms", "expected"),
    [
        (FRIDAY_CLOSE + QUARTER - 1, "ok:first_quote"),
        (FRIDAY_CLOSE + QUARTER, "reject:closed"),
        (FRIDAY_CLOSE + 20 * HOUR, "reject:closed"),
        (FRIDAY_CLOSE + 48 * HOUR - QUARTER - 1, "reject:closed"),
        (FRIDAY_CLOSE + 48 * HOUR - QUARTER, "ok:first_quote"),
    ],
)
def test_a_price_of_closed_hours_is_no_markets(at_ms: int, expected: str) -> None:
    assert story(judged(validator(), arrived(quote(1.1, at_ms)))) == [expected]


def test_what_a_terminal_quotes_goes_by_its_brokers_hours_and_what_has_no_time_by_when_it_was_asked() -> None:
    at_ms = FRIDAY_CLOSE + 20 * HOUR
    of_terminal = arrived(quote(bid=1.1, ask=1.1001, at_ms=at_ms, source_class="terminal_fx"), source="mt5")
    timeless = arrived(quote(1.1, None), received_ms=at_ms, source="alphavantage")
    assert story(judged(validator(), of_terminal, timeless)) == ["ok:first_quote", "ok:first_quote"]


@pytest.mark.parametrize(("ahead_ms", "expected"), [(5_000, "ok:first_quote"), (5_001, "reject:future")])
def test_market_time_after_receipt_is_rejected_beyond_five_seconds(ahead_ms: int, expected: str) -> None:
    assert story(judged(validator(), arrived(quote(1.1, T0 + ahead_ms), received_ms=T0))) == [expected]


def test_same_quote_of_the_same_source_again_is_a_duplicate() -> None:
    judge = validator()
    same = quote(1.1, tick=4)
    found = judged(judge, arrived(same), arrived(same, received_ms=T0 + 900), arrived(same, source="yahoo"))
    assert story(found) == ["ok:first_quote", "reject:duplicate", "ok"]


@pytest.mark.parametrize(
    "other", [quote(1.1, T0 + 1), quote(1.10001), quote(1.1, day_volume=5.0), quote(1.1, tick=5), quote(1.1, bid=1.1)]
)
def test_quote_that_differs_in_anything_is_no_duplicate(other: RawQuote) -> None:
    judge = validator()
    assert story(judged(judge, arrived(quote(1.1)), arrived(other)))[1] == "ok"


def test_older_quote_after_a_newer_one_is_marked() -> None:
    found = judged(validator(), arrived(quote(1.1)), arrived(quote(1.1001, T0 - 3_000), received_ms=T0 + 900))
    assert story(found) == ["ok:first_quote", "ok:out_of_order"]
    assert found[1].score == pytest.approx(0.9)


def test_last_price_of_a_closed_market_is_not_stale() -> None:
    # Saturday noon: the last trade was on Friday evening, and every poll until Sunday says the same.
    friday, saturday = T0 + 4 * 86_400_000 + 8 * 3_600_000, T0 + 5 * 86_400_000
    judge = validator()
    found = judged(
        judge,
        arrived(quote(1.1, friday, bid=1.09, ask=1.11), received_ms=saturday),
        arrived(quote(1.1, friday, bid=1.09, ask=1.12), received_ms=saturday + 60_000),
        arrived(quote(1.1, friday, bid=1.08, ask=1.12), received_ms=saturday + 3_600_000),
    )
    assert story(found) == ["ok:first_quote", "ok", "ok"]


def test_quiet_market_is_not_stale_when_it_moves_again() -> None:
    judge = validator()
    found = judged(judge, arrived(quote(1.1)), arrived(quote(1.1001, T0 + 2_760_000)))  # 46 minutes of silence
    assert story(found) == ["ok:first_quote", "ok"]


@pytest.mark.parametrize(
    ("held_back_ms", "expected"),
    [(4_000, "ok"), (60_000, "ok:stale"), (120_000, "ok:stale"), (120_001, "reject:stale")],
)
def test_quote_that_an_earlier_poll_should_have_shown_is_stale(held_back_ms: int, expected: str) -> None:
    judge = validator()
    only(judge, arrived(quote(1.1, T0 - 600_000), received_ms=T0))
    assert story(judged(judge, arrived(quote(1.1001, T0 - held_back_ms), received_ms=T0 + 1_000))) == [expected]


def test_declared_delay_is_not_staleness() -> None:
    judge = validator()
    found = judged(
        judge,
        *(
            arrived(nas(20_000.0, at_ms), received_ms=at_ms + 605_500, source="yahoo")
            for at_ms in (T0, T0 + 1000, T0 + 2000)
        ),
    )
    assert story(found) == ["ok:first_quote", "ok", "ok"]


def test_price_older_than_any_closure_is_stale() -> None:
    old = arrived(quote(1.1, T0 - 7 * 86_400_000 - 1), received_ms=T0)
    assert story(judged(validator(), old)) == ["reject:stale"]


@pytest.mark.parametrize(
    ("now_ms", "expected"),
    [
        # A bar of one second that ends at T0 + 1000 closes when the clock, less 2 s of lateness, has come there.
        (T0 + 2_999, "ok"),
        (T0 + 3_000, "ok:late"),
    ],
)
def test_quote_is_late_once_its_one_second_bar_closed(now_ms: int, expected: str) -> None:
    judge = validator()
    only(judge, arrived(quote(1.1, T0 - 10)))
    judge.handle((clock(now_ms),))
    (found,) = judged(judge, arrived(quote(1.1001, T0 + 400), received_ms=T0 + 3_100))
    assert story([found]) == [expected]
    assert found.score == 1.0


@pytest.mark.parametrize(("limits", "expected"), [("real", "ok"), ("none", "ok:late")])
def test_delayed_source_is_late_only_after_its_delay(limits: str, expected: str) -> None:
    judge = validator(limits)
    only(judge, arrived(nas(20_000.0, T0 - 10), source="yahoo"))
    judge.handle((clock(T0 + 500_000),))
    again = arrived(nas(20_001.0, T0 + 400), source="yahoo")
    assert story(judged(judge, again)) == [expected]


def test_far_sides_make_a_middle_price_doubtful() -> None:
    found = only(validator(), arrived(quote(bid=1.1, ask=1.11)))
    assert story([found]) == ["ok:wide_spread,first_quote"]
    assert found.score == pytest.approx(0.8)


def test_threshold_decides_what_is_quarantined() -> None:
    wide = arrived(quote(bid=1.1, ask=1.11))
    found = only(validator(reject_score=0.85), wide)
    assert isinstance(found, Reject)
    assert found.reason == "wide_spread"
    assert found.score == pytest.approx(0.8)
    assert isinstance(only(validator(reject_score=0.8), wide), Quote)


def test_threshold_of_zero_still_rejects_what_is_impossible() -> None:
    assert story(judged(validator(reject_score=0.0), arrived(quote(bid=1.2, ask=1.1)))) == ["reject:crossed_quote"]


def volumes(*told: tuple[int, float | None]) -> list[tuple[float, tuple[str, ...]]]:
    judge = validator("none")
    entries = [
        arrived(nas(20_000.0 + i / 100, T0 + at_ms, day_volume=volume), source="yahoo")
        for i, (at_ms, volume) in enumerate(told)
    ]
    found = judged(judge, *entries)
    assert all(isinstance(q, Quote) and q.volume_kind == "traded" for q in found)
    return [(q.volume, q.reasons) for q in found if isinstance(q, Quote)]


def test_volume_is_what_was_traded_since_the_previous_quote() -> None:
    assert volumes((0, 1000.0), (1000, 1010.0), (2000, None), (3000, 1015.0)) == [
        (0.0, ("first_quote",)),
        (10.0, ()),
        (0.0, ()),
        (5.0, ()),
    ]


def test_volume_that_falls_back_begins_a_new_session() -> None:
    assert [v for v, _ in volumes((0, 1000.0), (30_000, 7.0), (31_000, 9.0))] == [0.0, 7.0, 2.0]


def test_volume_corrected_downwards_is_not_traded_again() -> None:
    assert [v for v, _ in volumes((0, 1000.0), (1000, 990.0), (2000, 1004.0))] == [0.0, 0.0, 4.0]


def test_volume_of_0_is_what_a_vendor_writes_for_none_and_no_days_volume_is_traded_at_once_after_it() -> None:
    assert [v for v, _ in volumes((0, 1000.0), (1000, 0.0), (2000, 1004.0))] == [0.0, 0.0, 4.0]
    assert [v for v, _ in volumes((0, 1000.0), (1000, 0.0), (2000, 7.0), (3000, 9.0))] == [0.0, 0.0, 7.0, 2.0]


def test_volume_of_an_older_quote_is_not_counted_and_not_remembered() -> None:
    assert [v for v, _ in volumes((0, 1000.0), (1000, 1010.0), (500, 4.0), (2000, 1015.0))] == [0.0, 10.0, 0.0, 5.0]


def test_volume_over_a_gap_belongs_to_no_quote() -> None:
    assert volumes((0, 1000.0), (60_001, 5000.0), (61_000, 5001.0)) == [
        (0.0, ("first_quote",)),
        (0.0, ("volume_gap",)),
        (1.0, ()),
    ]


def test_volume_of_a_rejected_quote_counts_with_the_next_one() -> None:
    judge = validator("none")
    prices = [(20_000.0, 100.0), (30_000.0, 110.0), (20_001.0, 120.0)]
    entries = [arrived(nas(p, T0 + i * 1000, day_volume=v), source="yahoo") for i, (p, v) in enumerate(prices)]
    found = judged(judge, *entries)
    assert story(found) == ["ok:first_quote", "reject:spike", "ok"]
    assert isinstance(found[2], Quote)
    assert found[2].volume == 20.0


def test_instrument_without_volume_says_so() -> None:
    judge = validator()
    raw = quote(20_000.0, NEW_YORK_OPEN, symbol="NAS100", source_class="ndx_cash", day_volume=9.0)
    found = only(judge, arrived(raw))
    assert isinstance(found, Quote)
    assert (found.volume, found.volume_kind) == (0.0, "none")
