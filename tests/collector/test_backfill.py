"""History on request: chunks, paging, fallback, an honest empty answer, and the request acknowledged with it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest

from collector.backfill import Backfill
from collector.publish import Publisher
from collector.right_of_way import YIELD_S, RightOfWay
from collector.source import Source
from collector.times import StreamTime
from collector.vendors.base import HistoryReading, Reply, Request, Verdict
from common import keys
from common.clock import monotonic_s
from common.keys import BACKFILL, FIELD, RAW
from common.messages import BackfillRequest, RawBars, Timeframe, decode, encode
from common.redis_link import Link
from tests.collector.kit import (
    T0,
    FaultServer,
    Heard,
    PlainVendor,
    fault_server,
    means_of,
    ok,
    response,
    silent,
    source_of,
    table_of,
)

MINUTE_MS = 60_000


@dataclass
class Rig:
    link: Link
    a: FaultServer
    b: FaultServer
    sources: dict[str, Source]
    backfill: Backfill
    way: RightOfWay

    def ask(self, **changes: object) -> None:
        given: dict = {
            "id": "r1", "symbol": "EURUSD", "timeframe": "1m", "source_class": "fx_spot",
            "from_ms": T0 - 3_000 * MINUTE_MS, "to_ms": T0, **changes,
        }  # fmt: skip
        self.link.call("XADD", BACKFILL.key(0), "*", FIELD, encode(BackfillRequest(**given)))

    def answers(self) -> list[RawBars]:
        found = [decode(fields[1]) for _, fields in self.link.call("XRANGE", RAW.key(0), "-", "+")]  # type: ignore[union-attr, misc, index, arg-type]
        return [m for m in found if isinstance(m, RawBars)]

    def complete(self) -> bool:
        """Whether the newest piece is the last of its answer."""
        return any(m.final for m in self.answers()[-1:])

    def pending(self) -> int:
        return self.link.call("XPENDING", BACKFILL.key(0), "collector")[0]  # type: ignore[index, return-value]

    async def until(self, predicate: Callable[[], object]) -> None:
        """Run until the predicate holds."""
        running = asyncio.create_task(self.backfill.run())
        end_s = monotonic_s() + 5
        while monotonic_s() < end_s and not predicate() and not running.done():  # noqa: ASYNC110  # it lies in Redis
            await asyncio.sleep(0.005)
        if running.done():
            running.result()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert predicate()


@asynccontextmanager
async def make(link: Link, folder: Path) -> AsyncIterator[Rig]:
    async with fault_server() as a, fault_server() as b:
        time = StreamTime(lambda: T0, stepped=False)
        means = means_of(link, folder, time.now_ms)
        table = table_of(["a", "b"], ["EURUSD"])
        sources = {n: source_of(PlainVendor(n), s.url, means, table=table) for n, s in (("a", a), ("b", b))}
        publisher = Publisher(means, table, [0], 1, folder / "dead-letters")
        publisher.open()
        way = RightOfWay()
        backfill = Backfill(table, sources, publisher, means, way)
        backfill.open()
        try:
            yield Rig(link, a, b, sources, backfill, way)
        finally:
            for source in sources.values():
                await source.fetcher.close()


@pytest.fixture
async def rig(valkey_link: Link, tmp_path: Path) -> AsyncIterator[Rig]:
    async with make(valkey_link, tmp_path) as made:
        yield made


def bars(first: int, count: int) -> "list[list]":
    return [[T0 + (first + n) * MINUTE_MS, 1.0 + n / 1000] for n in range(count)]


async def test_a_long_history_comes_in_chunks_of_500_of_which_the_last_is_final(rig: Rig) -> None:
    rig.a.behave = ok({"bars": bars(-1_201, 1_201)})
    rig.ask()
    await rig.until(rig.complete)
    answers = rig.answers()
    assert [(len(m.bars), m.final) for m in answers] == [(500, False), (500, False), (201, True)]
    assert [bar.open_ms for m in answers for bar in m.bars] == [open_ms for open_ms, _ in bars(-1_201, 1_201)]
    assert {(m.request_id, m.source, m.source_class, m.detail) for m in answers} == {("r1", "a", "fx_spot", "")}
    assert rig.pending() == 0


async def test_pages_are_followed_and_overlaps_counted_once(rig: Rig) -> None:
    async def paged(heard: Heard, writer: asyncio.StreamWriter) -> None:
        pages = {"/history": {"bars": bars(-9, 5), "next": "/more"}, "/more": {"bars": bars(-5, 5)}}
        writer.write(response(json.dumps(pages[heard.path]).encode()))

    rig.a.behave = paged
    rig.ask()
    await rig.until(rig.answers)
    assert [bar.open_ms for bar in rig.answers()[0].bars] == [T0 + n * MINUTE_MS for n in range(-9, 0)]


async def test_the_next_source_of_the_class_serves_where_the_first_cannot(rig: Rig) -> None:
    rig.a.behave = ok({"error": "not_entitled"})
    rig.b.behave = ok({"bars": bars(-3, 3)})
    rig.ask()
    await rig.until(rig.answers)
    assert [(m.source, len(m.bars), m.final) for m in rig.answers()] == [("b", 3, True)]
    view = rig.sources["a"].view(T0)
    assert "EURUSD" not in view.blocks, "its history is refused, its price is not"
    rig.ask(id="r2")
    await rig.until(lambda: len(rig.answers()) == 2)
    assert len(rig.a.heard) == 1, "it is not asked for history again within the hour"


async def test_what_nobody_has_is_answered_empty_with_the_reasons(rig: Rig) -> None:
    rig.a.behave = ok({"bars": []})
    rig.b.behave = ok({"error": "outage"})
    rig.ask()
    rig.ask(id="r2", symbol="UNKNOWN")
    rig.ask(id="r3", source_class="gold_spot")
    rig.ask(id="r4", timeframe="1s")
    await rig.until(lambda: len(rig.answers()) == 4)
    assert [(m.request_id, m.bars, m.final, m.detail) for m in rig.answers()] == [
        ("r1", (), True, "a: no data; b: outage: refused"),
        ("r2", (), True, "UNKNOWN is not in SYMBOLS"),
        ("r3", (), True, "no source of class gold_spot"),
        ("r4", (), True, "a: no history of 1s; b: no history of 1s"),
    ]
    assert rig.pending() == 0


@pytest.mark.parametrize(
    ("first", "second", "within_ms"),
    [
        ({"bars": []}, {"bars": []}, None),  # both have answered: nobody has more
        ({"error": "not_entitled"}, {"bars": []}, 3_600_000),  # after the hour in which it is not asked again
        ({"error": "not_entitled"}, {"error": "outage"}, 120_000),  # the one that failed: when its breaker lets it
    ],
)
async def test_it_is_said_when_asking_again_may_bring_more(
    rig: Rig, first: dict, second: dict, within_ms: int | None
) -> None:
    rig.a.behave, rig.b.behave = ok(first), ok(second)
    rig.ask()
    await rig.until(rig.answers)
    (answer,) = rig.answers()
    if within_ms is None:
        assert answer.retry_ms is None
    else:
        assert answer.retry_ms is not None
        assert 0 <= answer.retry_ms - answer.received_ms <= within_ms


async def test_what_came_before_a_failure_is_kept_and_the_failure_told(rig: Rig) -> None:
    async def half(heard: Heard, writer: asyncio.StreamWriter) -> None:
        pages = {"/history": {"bars": bars(-9, 5), "next": "/more"}, "/more": {"error": "rate_limited"}}
        writer.write(response(json.dumps(pages[heard.path]).encode()))

    rig.a.behave = half
    rig.ask()
    await rig.until(rig.answers)
    answer = rig.answers()[0]
    assert (len(answer.bars), answer.final, answer.detail) == (5, True, "rate_limited: refused")


async def test_a_request_in_hand_at_a_crash_is_served_by_the_next_life(rig: Rig, tmp_path: Path) -> None:
    rig.a.behave = silent
    rig.ask()
    await rig.until(lambda: rig.a.heard)  # cancelled there
    assert (rig.answers(), rig.pending()) == ([], 1)
    async with make(rig.link, tmp_path) as again:
        again.a.behave = ok({"bars": bars(-3, 3)})
        await again.until(again.answers)
    assert [(m.request_id, len(m.bars)) for m in rig.answers()] == [("r1", 3)]
    assert rig.pending() == 0


async def test_an_answer_cut_off_by_a_crash_goes_on_where_it_was_committed(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_after_the_first_piece() -> None:
        if rig.answers():
            await asyncio.Event().wait()

    monkeypatch.setattr(rig.way, "free", not_after_the_first_piece)
    rig.a.behave = ok({"bars": bars(-1_201, 1_201)})
    rig.ask()
    await rig.until(rig.answers)  # cancelled there
    assert not rig.complete()
    async with make(rig.link, tmp_path) as again:
        again.a.behave = rig.a.behave
        await again.until(again.complete)
        assert again.a.heard[0].query["from"] == str(T0 - 701 * MINUTE_MS), "what is committed is not asked for again"
    assert [bar.open_ms for m in rig.answers() for bar in m.bars] == [open_ms for open_ms, _ in bars(-1_201, 1_201)]
    assert rig.pending() == 0
    assert rig.link.call("HLEN", keys.state(0, "collector")) == 0, "nothing is left of it"


async def test_bars_outside_of_what_was_asked_are_left_out(rig: Rig) -> None:
    rig.a.behave = ok({"bars": bars(-5, 10)})
    rig.ask(from_ms=T0 - 3 * MINUTE_MS)
    await rig.until(rig.answers)
    assert [bar.open_ms for bar in rig.answers()[0].bars] == [T0 + n * MINUTE_MS for n in (-3, -2, -1)]


async def test_nothing_is_asked_nor_written_while_a_stream_is_at_its_budget(rig: Rig) -> None:
    rig.a.behave = ok({"bars": bars(-3, 3)})
    rig.way.held_back = ("raw",)
    rig.ask()
    await rig.until(rig.pending)  # it is read, and waits
    assert (rig.a.heard, rig.answers()) == ([], [])
    rig.way.held_back = ()
    await rig.until(rig.answers)


async def test_a_cycle_in_progress_goes_first_but_not_for_ever(rig: Rig) -> None:
    rig.a.behave = ok({"bars": bars(-3, 3)})
    rig.ask()
    with rig.way.cycle():
        started_s = monotonic_s()
        await rig.until(rig.answers)
        assert monotonic_s() - started_s >= YIELD_S
    rig.ask(id="r2")
    started_s = monotonic_s()
    await rig.until(lambda: len(rig.answers()) == 2)
    assert monotonic_s() - started_s < YIELD_S


async def test_the_loop_goes_on_while_a_large_reply_is_read(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    loop_ran = Event()

    def read_history(vendor: PlainVendor, request: Request, timeframe: Timeframe, reply: Reply) -> HistoryReading:
        loop.call_soon_threadsafe(loop_ran.set)
        ran = loop_ran.wait(10)
        return HistoryReading(Verdict.NO_DATA, detail="the loop ran" if ran else "the loop stood still")

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(PlainVendor, "read_history", read_history)
    rig.a.behave = rig.b.behave = ok({})
    rig.ask()
    await rig.until(rig.answers)
    assert rig.answers()[0].detail == "a: the loop ran; b: the loop ran"


async def test_poison_is_buried_and_the_rest_flows(rig: Rig) -> None:
    rig.a.behave = ok({"bars": bars(-3, 3)})
    rig.link.call("XADD", BACKFILL.key(0), "*", FIELD, b'{"kind": "backfill", "id": 7}')
    rig.ask()
    await rig.until(rig.answers)
    assert rig.link.call("XLEN", keys.dead(0, "collector")) == 1
    assert rig.pending() == 0


async def test_a_request_that_brings_out_a_bug_is_buried_alone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    read = PlainVendor.read_history

    def fails_once(vendor: PlainVendor, request: Request, timeframe: Timeframe, reply: Reply) -> HistoryReading:
        monkeypatch.setattr(PlainVendor, "read_history", read)
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(PlainVendor, "read_history", fails_once)
    rig.a.behave = ok({"bars": bars(-3, 3)})
    rig.ask()
    rig.ask()
    await rig.until(rig.answers)
    assert rig.link.call("XLEN", keys.dead(0, "collector")) == 1
    assert len(rig.answers()) == 1
    assert rig.pending() == 0
