"""The handler: what goes where, what is remembered, and that restarting changes nothing."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import keys
from common.errors import Fatal
from common.messages import (
    Clock,
    HistoryBars,
    Quote,
    Quotes,
    RawBar,
    RawQuote,
    RawQuotes,
    Reject,
    Rejects,
    decode,
    encode,
)  # fmt: skip
from common.metrics import Metrics
from common.stage import Entry, Outcome, Publication
from tests.support_examples import examples
from tests.validator.support import (
    T0,
    TABLE,
    HashLink,
    arrived,
    clock,
    history,
    judged,
    messages,
    quote,
    story,
    validator,
)  # fmt: skip
from tests.validator.support import settings as make_settings
from validator.stage import Validator, validator_spec

STATE = keys.state(0, "validator")


def test_one_entry_gives_one_entry_of_quotes_and_one_of_rejects_in_its_order() -> None:
    entry = arrived(quote(1.1), quote(-1.0, T0 + 1), quote(1.1001, T0 + 2), quote("x", T0 + 3))
    accepted, rejected = messages(validator().handle((entry,)))
    assert isinstance(accepted, Quotes)
    assert isinstance(rejected, Rejects)
    assert [(q.market_ms, q.raw_index) for q in accepted.quotes] == [(T0, 0), (T0 + 2, 2)]
    assert [(r.reason, r.raw_index) for r in rejected.rejects] == [("not_positive", 1), ("not_a_number", 3)]


def test_nothing_is_published_for_what_is_empty() -> None:
    assert messages(validator().handle((arrived(),))) == []
    assert [type(m) for m in messages(validator().handle((arrived(quote(-1.0)),)))] == [Rejects]
    assert [type(m) for m in messages(validator().handle((arrived(quote(1.0)),)))] == [Quotes]


def test_clock_is_forwarded_behind_what_came_before_it() -> None:
    entries = (arrived(quote(1.1), name="1-0"), clock(T0 + 1000, "2-0"), arrived(quote(1.2, T0 + 9), name="3-0"))
    first, second, third = messages(validator().handle(entries))
    assert isinstance(first, Quotes)
    assert second == Clock(1, T0 + 1000, 0, raw_id="2-0")
    assert isinstance(third, Rejects)


def test_every_quote_is_counted_and_foreign_symbols_make_no_labels() -> None:
    metrics = Metrics("validator")
    judge = Validator(0, TABLE, make_settings(), metrics)
    judge.handle((arrived(quote(1.1), quote(-1.0), quote(1.0, symbol="X" * 99)),))
    counted = {(s.name, *s.labels.values()): s.value for s in metrics.snapshot().counters}
    assert counted == {
        ("md_quotes_accepted_total", "EURUSD"): 1.0,
        ("md_quotes_rejected_total", "EURUSD", "not_positive"): 1.0,
        ("md_quotes_rejected_total", "unknown", "unknown_symbol"): 1.0,
    }


def test_only_what_changed_is_written() -> None:
    judge = validator()
    link = HashLink()
    link.apply(judge.handle((arrived(quote(1.1)), clock(T0 + 1000))).writes)
    feed = b"EURUSD|fx_spot|polygon"
    assert set(link.hashes[STATE]) == {b"series|EURUSD|fx_spot", b"feed|" + feed, b"track|" + feed, b"clock"}
    ((name, key, *pairs),) = judge.handle((clock(T0 + 2000),)).writes
    assert (name, key, pairs) == ("HSET", STATE, ["clock", str(T0 + 2000).encode()])
    assert judge.handle((arrived(quote(1.0, symbol="DOGE")),)).writes == []


def test_restore_forgets_what_was_handled_but_not_committed() -> None:
    judge, link = validator(), HashLink()
    link.apply(judge.handle((arrived(quote(1.1)),)).writes)
    lost = judge.handle((arrived(quote(1.1001, T0 + 1000)),))
    assert judge.restore(link) == Outcome()
    assert judge.handle((arrived(quote(1.1001, T0 + 1000)),)) == lost


def test_state_that_cannot_be_read_is_fatal_and_named() -> None:
    link = HashLink()
    link.apply([("HSET", STATE, "series|EURUSD|fx_spot", b'{"price": "high"}')])
    with pytest.raises(Fatal, match=r"\{0\}:state:validator.*series\|EURUSD\|fx_spot.*price"):
        validator().restore(link)


def test_field_of_a_newer_release_is_ignored() -> None:
    link = HashLink()
    link.apply([("HSET", STATE, "moon|EURUSD", b"{}")])
    assert validator().restore(link) == Outcome()


def test_spec_names_the_streams() -> None:
    spec = validator_spec(TABLE, make_settings(), Metrics("validator"))
    assert (spec.name, spec.inputs, spec.outputs) == ("validator", (keys.RAW,), (keys.QUOTES, keys.REJECTS))
    assert isinstance(spec.make_handler(0), Validator)


def test_history_passes_with_its_request_and_the_bad_bars_are_quarantined() -> None:
    bars = [RawBar(T0 - 180_000, 100.0, 101.0, 99.0, 100.5, 7.0), RawBar(T0 - 120_000, 100.5, 100.0, 99.0, 100.2)]
    passed, rejected = messages(validator().handle((history(bars),)))
    assert isinstance(passed, HistoryBars)
    assert isinstance(rejected, Rejects)
    assert (passed.request_id, passed.timeframe, passed.final, len(passed.bars)) == ("r1", "1m", True, 1)
    assert (rejected.rejects[0].reason, rejected.rejects[0].raw_bar) == ("ohlc_order", bars[1])


# -- properties -----------------------------------------------------------------------------------

numbers = st.one_of(
    st.none(), st.floats(), st.floats(1.09, 1.11), st.floats(1.09, 1.11), st.sampled_from(["NaN", "", "1.1"])
)
times = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(T0 - 200_000, T0 + 200_000))
raw_quotes = st.builds(
    RawQuote, st.sampled_from(["EURUSD", "DOGE"]), st.sampled_from(["fx_spot", "moon"]), times,
    numbers, numbers, numbers, numbers, st.none() | st.integers(0, 3),
)  # fmt: skip
likely_quotes = st.builds(
    RawQuote, st.just("EURUSD"), st.just("fx_spot"), st.integers(T0 - 200_000, T0 + 200_000),
    st.sampled_from([1.1, 1.1001, 1.0999, 1.13, 1.1301, 11.0]), st.none(), st.none(),
    st.sampled_from([None, 10.0, 20.0, 1000.0]), st.none(),
)  # fmt: skip
raw_messages = st.builds(
    RawQuotes, st.sampled_from(["polygon", "yahoo"]), st.integers(T0 - 200_000, T0 + 200_000),
    st.lists(raw_quotes | likely_quotes, max_size=3).map(tuple), st.booleans(),
) | st.builds(Clock, st.just(1), st.integers(T0 - 200_000, T0 + 200_000), st.just(0))  # fmt: skip
entries = st.lists(raw_messages, max_size=30).map(
    lambda found: [Entry(keys.RAW, f"{i}-0", message) for i, message in enumerate(found)]
)


@given(entries)
@examples(150)
def test_every_quote_gets_exactly_one_verdict_whatever_it_is(found: list[Entry]) -> None:
    judge = validator()
    for entry in found:
        outcome = judge.handle((entry,))
        sent = entry.message.quotes if isinstance(entry.message, RawQuotes) else ()
        verdicts: list[Quote | Reject] = []
        for message in messages(outcome):
            assert decode(encode(message)) == message or _has_nan(message)
            if isinstance(message, Quotes):
                verdicts += message.quotes
            elif isinstance(message, Rejects):
                verdicts += message.rejects
        assert sorted(v.raw_index for v in verdicts) == list(range(len(sent)))
        assert all(0.0 <= v.score <= 1.0 for v in verdicts)


def _has_nan(message: object) -> bool:
    return b"null" in msgspec.json.encode(message)  # JSON has no NaN: such a raw value can't come out of a stream


@given(entries, st.integers(0, 30))
@examples(150)
def test_restarted_validator_goes_on_exactly_like_an_undisturbed_one(found: list[Entry], stop: int) -> None:
    undisturbed, first, link = validator(), validator(), HashLink()
    expected = [undisturbed.handle((entry,)) for entry in found]
    for entry in found[:stop]:
        link.apply(first.handle((entry,)).writes)
    second = validator()
    second.restore(link)
    assert repr([second.handle((entry,)) for entry in found[stop:]]) == repr(expected[stop:])


@given(entries)
@examples(50)
def test_batches_change_nothing(found: list[Entry]) -> None:
    one_by_one, at_once = HashLink(), HashLink()
    first, second = validator(), validator()
    published: list[Publication] = []
    for entry in found:
        outcome = first.handle((entry,))
        one_by_one.apply(outcome.writes)
        published += outcome.publish
    together = second.handle(tuple(found))
    at_once.apply(together.writes)
    assert repr(together.publish) == repr(published)
    assert at_once.hashes == one_by_one.hashes


def test_judging_the_same_entries_twice_gives_the_same_verdicts() -> None:
    entry = arrived(quote(1.1), quote(1.13, T0 + 1000), quote(1.1001, T0 + 2000))
    assert story(judged(validator(), entry)) == story(judged(validator(), entry))
