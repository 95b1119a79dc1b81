"""The client's own terminal: batches of ticks, a clock that its client may get wrong, and changes of series."""

from common import keys
from common.messages import Quote, Reject, SeriesChange
from common.stage import Entry
from tests.validator.support import T0, arrived, clock, judged, quote, story, validator

SECOND, HOUR = 1_000, 3_600_000


def batch(received_ms: int, *ages_ms: int, off_ms: int = 0) -> Entry:
    """Ticks of one POST, each so old when it is received; `off_ms`: the error of the offset."""
    times_ms = [received_ms - age_ms + off_ms for age_ms in ages_ms]
    ticks = [quote(at_ms=at_ms, bid=1.1, ask=1.1001, source_class="terminal_fx") for at_ms in times_ms]
    return arrived(*ticks, received_ms=received_ms, source="mt5", name=f"{received_ms}-0")


def test_ticks_of_one_batch_are_as_old_as_the_batch_and_not_held_back() -> None:
    judge = validator()
    found = judged(judge, batch(T0, 400, 200), batch(T0 + 9 * SECOND, 8_900, 6_000, 100))
    assert story(found) == ["ok:first_quote", "ok", "ok", "ok", "ok"]
    assert {q.volume_kind for q in found if isinstance(q, Quote)} == {"ticks"}


def test_what_an_earlier_batch_should_have_brought_is_stale() -> None:
    found = judged(validator(), batch(T0, 100), batch(T0 + 1 * SECOND, 300_000))
    assert story(found)[-1] == "reject:stale"


def test_an_offset_that_is_too_small_puts_ticks_into_the_future_and_the_detail_says_what_to_look_at() -> None:
    (reject,) = judged(validator(), batch(T0, 100, off_ms=HOUR))
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.detail) == (
        "future", "market time 3599900 ms after receipt; are gmt_offset_s and this machine's clock right?",
    )  # fmt: skip


def test_an_offset_that_is_too_large_makes_ticks_stale_from_the_second_batch_on() -> None:
    """The first batch has nothing before it: its ticks are accepted, as old as they say, and fall into no open bar."""
    batches = [batch(T0 + n * SECOND, 300, 100, off_ms=-HOUR) for n in range(3)]
    found = judged(validator(), clock(T0, "1-0"), *batches)
    assert story(found)[2:] == ["reject:stale"] * 4
    assert all("late" in q.reasons for q in found if isinstance(q, Quote))
    assert all("gmt_offset_s" in r.detail for r in found if isinstance(r, Reject))


def test_other_sources_get_no_hint_about_a_terminal() -> None:
    (reject,) = judged(validator(), arrived(quote(1.1, T0 + HOUR), received_ms=T0))
    assert isinstance(reject, Reject)
    assert reject.detail == "market time 3600000 ms after receipt"


def test_a_change_of_series_is_passed_on_with_its_origin_in_its_place() -> None:
    change = SeriesChange("EURUSD", "terminal_fx", "fx_spot", T0, "terminal_came")
    judge = validator()
    published = judge.handle((arrived(quote(1.1)), Entry(keys.RAW, "7-3", change), clock(T0 + 500, "8-0"))).publish
    kinds = [type(publication.message).__name__ for publication in published]
    assert kinds == ["Quotes", "SeriesChange", "Clock"]
    passed = published[1]
    assert passed.stream is keys.QUOTES
    assert passed.message == SeriesChange("EURUSD", "terminal_fx", "fx_spot", T0, "terminal_came", "7-3")
