"""Questions for history: answered from SQLite, and passed on to the vendors where it has too little."""

from pathlib import Path

import pytest

from common import keys
from common.errors import Retryable
from common.history import History
from common.messages import BackfillRequest, Bars, HistoryBars, HistoryRequest, Timeframe, encode
from common.redis_link import Link
from common.stage import Outcome
from storer.backfill import older_history
from storer.stage import Storer
from tests.storer.values import HISTORY, MINUTE, T0, bar, clock, entry, request

DAY = 24 * 60 * MINUTE
LANE = "XAUUSD|gold_spot|1m"


def ask(storer: Storer, question: HistoryRequest) -> Outcome:
    return storer.handle((entry(keys.HISTORY_REQUESTS, 1, question),))


def answered(outcome: Outcome) -> list[HistoryBars]:
    return [p.message for p in outcome.publish if isinstance(p.message, HistoryBars)]


def asked(outcome: Outcome) -> list[BackfillRequest]:
    return [p.message for p in outcome.publish if isinstance(p.message, BackfillRequest)]


def store_bars(storer: Storer, count: int) -> None:
    storer.handle((entry(keys.BARS, 1, Bars(bars=tuple(bar(i) for i in range(count)))),))


def test_the_newest_bars_before_the_time_are_given_oldest_first(storer: Storer) -> None:
    store_bars(storer, 20)
    outcome = ask(storer, request(3, before_ms=T0 + 10 * MINUTE))
    assert answered(outcome) == [
        HistoryBars("q1", "XAUUSD", "1m", "gold_spot", (bar(7), bar(8), bar(9)), final=True)
    ]  # fmt: skip
    assert asked(outcome) == []
    assert not outcome.writes


def test_only_bars_of_that_class_and_timeframe_are_given(storer: Storer) -> None:
    others = (bar(1, source_class="comex_gold_future"), bar(0, timeframe="5m"), bar(1, symbol="EURUSD"))
    storer.handle((entry(keys.BARS, 1, Bars(bars=(*others, bar(2)))),))
    assert answered(ask(storer, request(1)))[0].bars == (bar(2),)


def test_a_long_answer_comes_in_pieces_of_500_and_the_last_is_final(storer: Storer) -> None:
    store_bars(storer, 1_200)
    pieces = answered(ask(storer, request(1_100, before_ms=T0 + DAY)))
    assert [(len(piece.bars), piece.final) for piece in pieces] == [(500, False), (500, False), (100, True)]
    assert [b for piece in pieces for b in piece.bars] == [bar(i) for i in range(100, 1_200)]


def test_a_question_sees_what_its_own_batch_brought(storer: Storer) -> None:
    batch = (entry(keys.BARS, 1, Bars(bars=(bar(1),))), entry(keys.HISTORY_REQUESTS, 1, request(1)))
    assert answered(storer.handle(batch))[0].bars == (bar(1),)


def test_without_bars_the_answer_is_empty_and_says_who_was_asked(storer: Storer) -> None:
    outcome = ask(storer, request(100))
    (backfill,) = asked(outcome)
    assert answered(outcome) == [
        HistoryBars("q1", "XAUUSD", "1m", "gold_spot", (), True, f"asked the vendors for more: {backfill.id}")
    ]


def test_too_few_bars_ask_the_vendors_for_what_is_older(storer: Storer) -> None:
    store_bars(storer, 5)
    outcome = ask(storer, request(100))
    # 100 bars of a minute, times 1.6, and 3 days: 4,480 minutes before the tenth; up to the oldest that is there.
    from_ms = T0 + 10 * MINUTE - 4_480 * MINUTE
    assert asked(outcome) == [
        BackfillRequest(f"older|{LANE}|{from_ms}|{T0}", "XAUUSD", "1m", "gold_spot", from_ms, T0)
    ]  # fmt: skip
    assert [command[:3] for command in outcome.writes] == [("HSET", "{0}:state:storer", LANE)]


def test_a_lane_is_not_asked_for_again_within_a_quarter_of_an_hour(storer: Storer) -> None:
    storer.handle((entry(keys.QUOTES, 1, clock(0)),))
    assert len(asked(ask(storer, request(100)))) == 1
    storer.handle((entry(keys.QUOTES, 2, clock(899)),))
    assert asked(ask(storer, request(100))) == []
    storer.handle((entry(keys.QUOTES, 3, clock(900)),))
    assert asked(ask(storer, request(100))) == []  # by then the storer has asked again by itself


@pytest.mark.parametrize(
    ("timeframe", "days"), [("1m", 29), ("5m", 59), ("15m", 59), ("1h", 729)]
)  # fmt: skip
def test_no_more_is_asked_than_vendors_keep(timeframe: Timeframe, days: int) -> None:
    now = T0 + 46 * MINUTE  # a whole hour
    backfill = older_history(request(1_000_000, now, timeframe=timeframe), ())
    assert backfill is not None
    assert (backfill.from_ms, backfill.to_ms) == (now - days * DAY, now)


def test_seconds_are_asked_of_nobody() -> None:
    assert older_history(request(100, timeframe="1s"), ()) is None


def test_a_range_lies_on_the_bars_own_grid() -> None:
    backfill = older_history(request(10, T0 + 12_345, timeframe="1h"), ())
    assert backfill is not None
    assert (backfill.from_ms % 3_600_000, backfill.to_ms % 3_600_000) == (0, 0)
    assert backfill.to_ms >= T0 + 12_345


def test_the_vendors_answer_is_there_for_the_next_question(storer: Storer) -> None:
    storer.handle((entry(keys.QUOTES, 1, HISTORY),))
    assert answered(ask(storer, request(2)))[0].bars == HISTORY.bars


def test_a_restart_remembers_what_was_asked(storer: Storer, link: Link) -> None:
    link.call("SET", keys.clock(0), encode(clock(10)))
    storer.restore(link)
    for command in ask(storer, request(100)).writes:
        link.call(*command)
    storer.restore(link)
    assert asked(ask(storer, request(100))) == []


def test_what_was_asked_and_not_committed_is_asked_again(storer: Storer, link: Link) -> None:
    first = asked(ask(storer, request(100)))
    storer.restore(link)  # the transaction did not happen
    assert asked(ask(storer, request(100))) == first != []


def test_a_reader_before_the_first_start_is_told_to_wait(path: Path) -> None:
    with pytest.raises(Retryable, match=f"{path} can't be read: .*the storer makes it"):
        History(path).bars("XAUUSD", "gold_spot", "1m", T0, 10)


def test_more_than_the_count_is_given_where_it_is_stored(storer: Storer) -> None:
    storer.handle((entry(keys.BARS, 1, Bars(bars=tuple(bar(minute) for minute in range(9)))),))
    outcome = storer.handle((entry(keys.HISTORY_REQUESTS, 1, request(3, most=7)),))
    given = [p.message for p in outcome.publish]
    assert [len(m.bars) for m in given if isinstance(m, HistoryBars)] == [7]
    assert len(given) == 1
