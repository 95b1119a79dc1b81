"""What waits for its commit: in order, bounded, the newest never lost."""

from hypothesis import given
from hypothesis import strategies as st

from collector.push.buffer import Buffer
from collector.push.freshness import Freshness, Mark
from common.messages import RawQuote

Arrivals = list[tuple[str, str, int]]
"""Source, symbol, stream time."""

arrivals = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(["X", "Y", "Z"]), st.integers(0, 5_000)), max_size=60
)


def quote(symbol: str, number: int) -> RawQuote:
    return RawQuote(symbol, "c", market_ms=number, last=1.0)


def filled(came: Arrivals, limit: int) -> Buffer:
    buffer = Buffer(limit)
    for number, (source, symbol, at_ms) in enumerate(sorted(came, key=lambda a: a[2])):
        buffer.add(source, [quote(symbol, number)], at_ms)
        assert len(buffer) <= limit
    return buffer


@given(arrivals, st.integers(6, 20))
def test_each_symbol_keeps_its_order_and_its_newest_within_the_bound(came: Arrivals, limit: int) -> None:
    news = filled(came, limit).take(lambda *_: True, ["a", "b"], checks=True)
    for source in "ab":
        for symbol in "XYZ":
            sent = [n for n, (s, y, _) in enumerate(sorted(came, key=lambda a: a[2])) if (s, y) == (source, symbol)]
            got = [q.market_ms for m in news if m.source == source for q in m.quotes if q.symbol == symbol]
            assert got == sorted(x for x in got if x is not None)
            assert set(got) <= set(sent)
            assert got[-1:] == sent[-1:]
    if len(came) <= limit:
        assert sum(len(m.quotes) for m in news) == len(came)


def test_one_message_a_source_in_the_sources_order_and_by_the_second_in_which_they_came() -> None:
    buffer = Buffer()
    for source, symbol, at_ms in (("b", "X", 900), ("a", "X", 950), ("a", "Y", 960), ("a", "X", 1_050)):
        buffer.add(source, [quote(symbol, at_ms)], at_ms)
    news = buffer.take(lambda *_: True, ["a", "b"], checks=True)
    assert [(m.source, m.received_ms, [q.symbol for q in m.quotes]) for m in news] == [
        ("a", 960, ["X", "Y"]), ("a", 1_050, ["X"]), ("b", 900, ["X"]),
    ]  # fmt: skip
    assert all(m.pushed and not m.check for m in news)


def test_what_only_checks_waits_for_its_turn_and_keeps_the_newest() -> None:
    buffer = Buffer()
    buffer.add("a", [quote("X", 1)], 1)
    buffer.add("b", [quote("X", 2), quote("X", 3)], 1)
    feeding = buffer.take(lambda source, _: source == "a", ["a", "b"], checks=False)
    assert [(m.source, m.check) for m in feeding] == [("a", False)]
    (check,) = buffer.take(lambda source, _: source == "a", ["a", "b"], checks=True)
    assert (check.source, check.check, [q.market_ms for q in check.quotes]) == ("b", True, [3])


def test_a_check_that_waited_is_dropped_when_its_source_feeds_on() -> None:
    buffer = Buffer()
    buffer.add("a", [quote("X", 1)], 1)
    assert buffer.take(lambda *_: False, ["a"], checks=False) == ()
    buffer.add("a", [quote("X", 2)], 2)
    (news,) = buffer.take(lambda *_: True, ["a"], checks=True)
    assert [q.market_ms for q in news.quotes] == [2]


def test_only_a_market_time_that_goes_on_is_news() -> None:
    fresh, key = Freshness(), ("a", "X", "c")
    assert fresh.note("a", quote("X", 5), 1_000)
    assert not fresh.note("a", quote("X", 5), 60_000)
    assert not fresh.note("a", quote("X", 4), 60_000)
    assert fresh.is_fresh(key, 11_000, 10.0)
    assert not fresh.is_fresh(key, 11_001, 10.0)
    assert fresh.note("a", quote("X", 6), 60_000)
    assert fresh.is_fresh(key, 60_000, 10.0)


def test_a_time_that_is_still_to_come_is_no_news_and_outdates_nothing() -> None:
    fresh, now_ms = Freshness(), 100_000
    assert not fresh.note("a", quote("X", now_ms + 5_001), now_ms)
    assert fresh.note("a", quote("X", now_ms + 5_000), now_ms), "clocks differ by so much"
    assert fresh.note("a", quote("X", now_ms + 5_001), now_ms + 1)


def test_marks_of_an_earlier_life_count_unless_something_newer_came() -> None:
    fresh = Freshness()
    fresh.note("a", quote("X", 9), 9_000)
    fresh.restore([Mark("a", "X", "c", 5, 5_000), Mark("a", "Y", "c", 5, 5_000)])
    assert fresh.is_fresh(("a", "X", "c"), 19_000, 10.0)
    assert fresh.is_fresh(("a", "Y", "c"), 15_000, 10.0)
    assert not fresh.is_fresh(("b", "X", "c"), 0, 10.0)
