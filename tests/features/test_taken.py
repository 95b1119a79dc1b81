"""What the storer gave is told to the record: which bars changed a lane, and after which entry of `raw`."""

from msgspec.structs import replace

from common import keys
from common.messages import Clock, HistoryBars, HistoryTaken, Quotes
from common.stage import Entry
from features.stage import FeaturesHandler
from tests.features.support import MONDAY_MS, Store, bar, clock, handler, history, quote

NOW_MS = MONDAY_MS + 20 * 3_600_000
MINUTE = 60_000
PAST = [bar(NOW_MS - n * MINUTE, 1.1 + n / 1000) for n in range(5, 0, -1)]


def taken(stage: FeaturesHandler, store: Store, *entries: Entry) -> list[HistoryTaken]:
    """Handle entries as one batch; return what was told of the storer's bars."""
    outcome = store.commit(stage.handle(entries))
    assert {p.stream for p in outcome.publish if isinstance(p.message, HistoryTaken)} <= {keys.BARS}
    return [p.message for p in outcome.publish if isinstance(p.message, HistoryTaken)]


def of_quotes(number: int, message: Clock | Quotes | HistoryBars) -> Entry:
    return Entry(keys.QUOTES, f"{number}-0", message)


def of_history(number: int, message: HistoryBars) -> Entry:
    return Entry(keys.HISTORY, f"{number}-5", message)


def test_the_bars_that_changed_a_lane_are_told_with_their_place() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))
    late = Quotes((replace(quote("EURUSD", NOW_MS + 1, 1.1), raw_id="78-2"),))

    first = taken(
        stage, store, of_quotes(1, replace(clock(NOW_MS + 5_000), raw_id="77-1")), of_quotes(2, late),
        of_history(9, history(PAST[:3])),
    )  # fmt: skip
    second = taken(stage, store, of_history(10, history(PAST)))

    assert first == [HistoryTaken("9-5", "78-2", history(PAST[:3]))]
    assert second == [HistoryTaken("10-5", "78-2", history(PAST[3:]))]


def test_what_changes_nothing_is_not_told() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))
    taken(stage, store, of_quotes(1, clock(NOW_MS)), of_history(2, history(PAST)))

    assert taken(stage, store, of_history(3, history(PAST))) == []
    assert taken(stage, store, of_history(4, history([bar(NOW_MS + MINUTE, 1.3)]))) == []  # not closed yet


def test_a_vendors_history_is_not_told_for_it_stands_in_raw_itself() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))
    taken(stage, store, of_quotes(1, clock(NOW_MS)))

    assert taken(stage, store, of_quotes(2, replace(history(PAST), raw_id="90-0"))) == []
    new = bar(NOW_MS - 9 * MINUTE, 1.2)
    assert taken(stage, store, of_history(3, history([new]))) == [HistoryTaken("3-5", "90-0", history([new]))]


def test_the_place_outlives_a_restart() -> None:
    store = Store()
    taken(handler(store, timeframes=("1m",)), store, of_quotes(1, replace(clock(NOW_MS), raw_id="77-1")))

    found = taken(handler(store, timeframes=("1m",)), store, of_history(2, history(PAST)))

    assert [message.raw_id for message in found] == ["77-1"]
