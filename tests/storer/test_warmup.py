"""History that vendors could not give at once: asked for again when they may, and features know until when."""

from common import keys
from common.messages import BackfillRequest, Bar, HistoryBars
from common.metrics import Metrics
from common.stage import Outcome
from storer.backfill import Lane
from storer.database import Database
from storer.gaps import Watched
from storer.keeper import GapKeeper
from storer.stage import Storer
from tests.storer.test_history_requests import answered, ask, asked
from tests.storer.values import MINUTE, T0, bar, clock, entry, request


def at(storer: Storer, second: int) -> Outcome:
    return storer.handle((entry(keys.QUOTES, second, clock(second)),))


def vendors_say(
    storer: Storer, wanted: BackfillRequest, bars: tuple[Bar, ...] = (), retry_ms: int | None = None, detail: str = ""
) -> Outcome:
    answer = HistoryBars(
        wanted.id, wanted.symbol, wanted.timeframe, wanted.source_class, bars, detail=detail, raw_id=f"{T0}-1",
        source="twelvedata", retry_ms=retry_ms,
    )  # fmt: skip
    return storer.handle((entry(keys.QUOTES, 7_000, answer),))


def test_a_refusal_is_passed_on_with_the_time_of_the_next_attempt(storer: Storer) -> None:
    at(storer, 0)
    (wanted,) = asked(ask(storer, request(100)))
    outcome = vendors_say(storer, wanted, retry_ms=T0 + 600_000, detail="twelvedata: rate_limited: quota_spent")
    (told,) = answered(outcome)
    assert (told.request_id, told.bars, told.final) == ("q1", (), True)
    assert (told.detail, told.retry_ms) == ("twelvedata: rate_limited: quota_spent", T0 + 600_000)


def test_at_that_time_the_vendors_are_asked_again(storer: Storer) -> None:
    at(storer, 0)
    (wanted,) = asked(ask(storer, request(100)))
    vendors_say(storer, wanted, retry_ms=T0 + 600_000, detail="why")
    assert asked(at(storer, 599)) == []
    assert storer.see((entry(keys.QUOTES, 600, clock(600)),))
    assert asked(at(storer, 600)) == [wanted]


def test_where_an_answer_was_cut_off_only_the_rest_is_asked_for(storer: Storer) -> None:
    at(storer, 0)
    (wanted,) = asked(ask(storer, request(100)))
    first = bar(0, open_ms=wanted.from_ms, origin="vendor", ticks=0)
    vendors_say(storer, wanted, (first,), retry_ms=T0 + 600_000)
    (rest,) = asked(at(storer, 600))
    assert (rest.from_ms, rest.to_ms) == (wanted.from_ms + MINUTE, wanted.to_ms)


def test_when_no_vendor_has_more_that_is_said_and_nothing_is_asked_again(storer: Storer) -> None:
    at(storer, 0)
    (wanted,) = asked(ask(storer, request(100)))
    (told,) = answered(vendors_say(storer, wanted))
    assert (told.detail, told.retry_ms) == ("no vendor has more", None)
    assert asked(at(storer, 86_400)) == []


def test_a_question_meanwhile_learns_what_is_known(storer: Storer) -> None:
    at(storer, 0)
    (wanted,) = asked(ask(storer, request(100)))
    vendors_say(storer, wanted, retry_ms=T0 + 600_000, detail="why")
    outcome = ask(storer, request(100, id="q2"))
    assert [(m.request_id, m.detail, m.retry_ms) for m in answered(outcome)] == [("q2", "why", T0 + 600_000)]
    assert asked(outcome) == []
    again = vendors_say(storer, asked(at(storer, 600))[0])
    assert [m.request_id for m in answered(again)] == ["q2"]


def test_a_class_without_history_is_asked_of_nobody(database: Database) -> None:
    lane = Watched(Lane("XAUUSD", "gold_spot", "1m"), "metals", 0, history=False)
    metrics = Metrics("storer")
    storer = Storer(0, database, metrics, GapKeeper([lane], 2_000, metrics))
    outcome = ask(storer, request(100))
    assert asked(outcome) == []
    assert [m.detail for m in answered(outcome)] == ["no vendor keeps history of this class"]
