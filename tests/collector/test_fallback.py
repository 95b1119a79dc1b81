"""A cycle whose sources fail or refuse: the next one at once, no refusal repeated, an outage told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collector.pacer import Tick
from common.breaker import State
from common.keys import SOURCE_EVENTS
from common.messages import Clock, SourceEvent, decode
from common.redis_link import Link
from common.sources import SymbolStatus
from tests.collector.cycle_rig import Rig, entries, restarted, rig_of
from tests.collector.kit import (
    T0,
    ok,
    prices,
)


@pytest.fixture
async def rig(valkey_link: Link, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_of(valkey_link, tmp_path) as made:
        yield made


@pytest.mark.parametrize("failure", ["outage", "rate_limited", "bad_key", "not_entitled", "unknown_symbol", "no_data"])
async def test_the_next_source_serves_in_the_same_cycle(rig: Rig, failure: str) -> None:
    rig.a.behave = ok({"error": failure})
    await rig.step()
    assert rig.quotes() == [("b", "EURUSD", 1.2), ("b", "GBPUSD", 1.4)]
    assert rig.status("EURUSD").source == "b"


async def test_a_symbol_that_is_missing_from_a_good_reply_falls_back_alone(rig: Rig) -> None:
    rig.a.behave = prices(1, EURUSD=1.1)
    await rig.step()
    assert rig.quotes() == [("a", "EURUSD", 1.1), ("b", "GBPUSD", 1.4)]
    assert [h.query["symbols"] for h in rig.b.heard] == ["GBPUSD"]


async def test_without_any_source_a_symbol_is_withheld_and_comes_back_by_itself(rig: Rig) -> None:
    rig.a.behave = rig.b.behave = ok({"error": "no_data"})
    await rig.step()
    assert rig.status("EURUSD") == SymbolStatus("withheld", "", "fx_spot", "no source, withheld", T0 + 1_000)
    rig.b.behave = prices(1, EURUSD=1.2, GBPUSD=1.4)
    await rig.step()
    assert rig.status("EURUSD").status == "ok"


async def test_a_closed_market_is_closed_and_nobody_is_asked(rig: Rig) -> None:
    saturday = T0 + 5 * 86_400_000
    await rig.cycles.run(Tick(1, saturday, stepped=True))
    closed = SymbolStatus("closed", "", "fx_spot", "session fx is closed; opens 2025-11-30T22:00Z", saturday)
    assert rig.status("EURUSD") == closed, "Sunday 17:00 in New York"
    assert rig.a.heard == rig.b.heard == []
    assert isinstance(rig.raw()[-1], Clock)


@pytest.mark.parametrize(
    ("refusal", "calls"),
    [("bad_key", 1), ("not_entitled", 1), ("unknown_symbol", 1), ("rate_limited", 1), ("no_data", 9)],
)
async def test_a_refusal_is_not_repeated_each_second(rig: Rig, refusal: str, calls: int) -> None:
    rig.a.behave = ok({"error": refusal})
    for _ in range(9):
        await rig.step()
    assert len(rig.a.heard) == calls
    assert rig.sources["a"].breaker.read().state is State.CLOSED, "a refusal is not an outage"


@pytest.mark.parametrize(
    "lapse", [{"quotes": {"EURUSD": "unknown_symbol", "GBPUSD": [2, 1.3]}}, {"error": "unknown_symbol"}]
)
async def test_a_symbol_that_was_served_is_not_unknown_where_one_reply_lacks_it(rig: Rig, lapse: dict) -> None:
    rig.a.behave = prices(1, EURUSD=1.1, GBPUSD=1.3)
    await rig.step()
    rig.a.behave = ok(lapse)
    await rig.step()
    assert rig.status("EURUSD").source == "b"
    rig.a.behave = prices(3, EURUSD=1.12, GBPUSD=1.32)
    await rig.step()
    assert rig.status("EURUSD").source == "a"
    assert ("a", "EURUSD", 1.12) in rig.quotes()


async def test_a_rate_limit_is_obeyed_for_as_long_as_the_vendor_says(rig: Rig) -> None:
    rig.a.behave = ok({"error": "rate_limited", "retry_after_s": 5})
    await rig.step()
    await rig.cycles.run(Tick(2, T0 + 5_999, stepped=True))
    assert len(rig.a.heard) == 1
    await rig.cycles.run(Tick(3, T0 + 6_000, stepped=True))
    assert len(rig.a.heard) == 2


async def test_five_outages_open_the_breaker_and_say_so_in_the_stream(rig: Rig) -> None:
    await rig.step()
    rig.a.behave = ok({"error": "outage"})
    for _ in range(8):
        await rig.step()
    assert len(rig.a.heard) == 1 + 5
    events = [decode(m) for m in entries(rig.link, SOURCE_EVENTS.key(0))]
    assert all(isinstance(e, SourceEvent) for e in events)
    assert [(e.source, e.event) for e in events] == [  # type: ignore[union-attr]
        ("a", "breaker.closed"), ("b", "breaker.closed"), ("a", "breaker.opened"),
    ]  # fmt: skip
    assert len({e.id for e in events}) == 3  # type: ignore[union-attr]


async def test_a_transition_whose_maker_died_before_the_commit_is_told_by_the_next_life(
    rig: Rig, tmp_path: Path
) -> None:
    source = rig.sources["a"]
    assert source.breaker.record_failure(source.admit(), T0 + 7, "reset by peer") is not None
    async with restarted(rig, tmp_path) as again:
        await again.step()
    told = [decode(m) for m in entries(rig.link, SOURCE_EVENTS.key(0))]
    assert [(e.source, e.event, e.detail) for e in told] == [  # type: ignore[union-attr]
        ("a", "breaker.opened", "reset by peer"), ("b", "breaker.closed", ""),
    ]  # fmt: skip
