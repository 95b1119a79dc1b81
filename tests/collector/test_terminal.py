"""The terminal's ticks, from their stream to the raw one: each once, in order, and the series follows at once."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from collector.seen import KEPT
from common import keys
from common.keys import FIELD, RAW, TICKS
from common.messages import Clock, RawQuote, RawQuotes, SeriesChange, TerminalTick, TerminalTicks, decode, encode
from common.redis_link import Link
from common.symbols import SymbolTable
from tests.collector.cycle_rig import Rig, entries, restarted, rig_of
from tests.collector.kit import T0, ok, prices, table_of

SECOND = 1_000


def table(*failover: str) -> SymbolTable:
    """EURUSD at a as its own class, at b as another one, and at the terminal; GBPUSD at a alone."""
    found = table_of(["a"]).model_dump(mode="json", by_alias=True)
    found["symbols"]["EURUSD"]["sources"] += [
        {"vendor": "mt5", "symbol": "EURUSD.x", "class": "terminal", "volume": "ticks", "delay_s": 0},
        {"vendor": "b", "symbol": "EURUSD", "class": "other", "volume": "none", "delay_s": 0},
    ]
    found["symbols"]["EURUSD"]["failover"] = failover
    found["classes"] |= {name: {"title": name, "session": "fx"} for name in ("terminal", "other")}
    return SymbolTable.model_validate(found)


@pytest.fixture
async def rig(valkey_link: Link, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig_of(valkey_link, tmp_path, table=table()) as made:
        yield made


def send(
    rig: Rig, *ticks: TerminalTick, name: str = "b1", at_ms: int = T0 + SECOND, present: Sequence[str] = ("EURUSD",)
) -> None:
    message = TerminalTicks(name, "77", at_ms, ticks, tuple(present))
    rig.link.call("XADD", TICKS.key(0), "*", FIELD, encode(message))


def tick(number: int, price: float = 1.5, symbol: str = "EURUSD") -> TerminalTick:
    return TerminalTick(symbol, T0 + number, price, price + 0.0002)


def of_terminal(rig: Rig) -> list[RawQuote]:
    """Every quote of the terminal in the raw stream, in order."""
    return [q for m in rig.raw() if isinstance(m, RawQuotes) and m.source == "mt5" for q in m.quotes]


def changes(rig: Rig) -> list[tuple[str, str, str]]:
    found = [decode(body) for body in entries(rig.link, RAW.key(0))]
    return [(m.source_class, m.before, m.why) for m in found if isinstance(m, SeriesChange)]


def pending(rig: Rig) -> object:
    return rig.link.call("XPENDING", TICKS.key(0), "collector")[0]  # type: ignore[index]


async def test_a_batch_is_taken_at_the_beginning_of_a_cycle_and_the_series_changes_before_its_quotes(rig: Rig) -> None:
    send(rig, tick(500), tick(700, 1.6))
    await rig.step()
    change, quotes, polled, clock = rig.raw()
    assert change == SeriesChange("EURUSD", "terminal", "fx_spot", T0 + SECOND, "terminal_came")
    assert quotes == RawQuotes(
        "mt5", T0 + SECOND,
        (
            RawQuote("EURUSD", "terminal", T0 + 500, None, 1.5, 1.5002),
            RawQuote("EURUSD", "terminal", T0 + 700, None, 1.6, 1.6002),
        ),
    )  # fmt: skip
    assert isinstance(polled, RawQuotes)
    assert [q.symbol for q in polled.quotes] == ["GBPUSD"], "the vendors are not asked for what the terminal brings"
    assert isinstance(clock, Clock)
    status = rig.status("EURUSD")
    assert (status.status, status.source, status.source_class) == ("ok", "mt5", "terminal")
    assert pending(rig) == 0


async def test_a_tick_comes_once_whatever_brings_it_again(rig: Rig) -> None:
    send(rig, tick(500), tick(600))
    await rig.step()
    send(rig, tick(500), tick(600))
    send(rig, tick(600), tick(600, 1.7), tick(601), name="b2")
    await rig.step()
    assert [(q.market_ms, q.bid) for q in of_terminal(rig)] == [
        (T0 + 500, 1.5), (T0 + 600, 1.5), (T0 + 600, 1.7), (T0 + 601, 1.5),
    ]  # fmt: skip


async def test_a_tick_that_is_late_but_new_is_kept(rig: Rig) -> None:
    send(rig, tick(600))
    await rig.step()
    send(rig, tick(500), name="b2")
    await rig.step()
    assert [q.market_ms for q in of_terminal(rig)] == [T0 + 600, T0 + 500], "the validator says what it is worth"


async def test_after_a_restart_what_was_seen_is_known_and_the_class_is_the_same(rig: Rig, tmp_path: Path) -> None:
    send(rig, tick(500))
    await rig.step()
    send(rig, tick(500))
    send(rig, tick(900), name="b2")
    rig.link.call("XREADGROUP", "GROUP", "collector", "collector", "STREAMS", TICKS.key(0), ">")  # and then it died
    async with restarted(rig, tmp_path, table=table()) as again:
        await again.step()
    assert [q.market_ms for q in of_terminal(rig)] == [T0 + 500, T0 + 900]
    assert changes(rig) == [("terminal", "fx_spot", "terminal_came")]
    assert rig.status("EURUSD").source_class == "terminal"
    assert pending(rig) == 0


async def test_a_cycle_repeated_after_a_crash_gives_the_same_stream(rig: Rig, tmp_path: Path) -> None:
    send(rig, tick(500))
    rig.terminal.take()  # the process dies before its cycle's end
    async with restarted(rig, tmp_path, table=table()) as again:
        await again.step(1)
        await again.step(1)
    kinds = [type(m).__name__ for m in rig.raw()]
    assert kinds == ["SeriesChange", "RawQuotes", "RawQuotes", "Clock"]


async def test_only_the_newest_ticks_are_remembered_and_older_ones_are_taken_for_known(rig: Rig) -> None:
    for begin in range(0, KEPT + 500, 500):
        send(rig, *(tick(begin + n) for n in range(500)), name=f"b{begin}")
    send(rig, tick(100), tick(KEPT + 499), tick(499, 9.9), name="again")
    await rig.step()
    assert len(of_terminal(rig)) == KEPT + 500
    assert rig.link.call("ZCARD", keys.terminal_ticks(0, "EURUSD")) == KEPT


async def test_ticks_from_the_future_are_forgotten_before_those_of_now_are_taken_for_known(
    rig: Rig, tmp_path: Path
) -> None:
    hour = 3_600_000  # an offset that is an hour too small, until somebody puts it right
    for begin in range(0, KEPT, 500):
        send(rig, *(tick(hour + begin + n) for n in range(500)), name=f"b{begin}")
    await rig.step()
    send(rig, tick(700), tick(701), name="mended")
    send(rig, tick(700), tick(699), tick(hour + 1), name="again")
    await rig.step()
    assert [q.market_ms for q in of_terminal(rig)[KEPT:]] == [T0 + 700, T0 + 701]
    async with restarted(rig, tmp_path, table=table()) as again:
        send(again, tick(702), tick(701), name="later")
        await again.step()
        assert [q.market_ms for q in of_terminal(again)[KEPT:]] == [T0 + 700, T0 + 701, T0 + 702]
    assert rig.link.call("ZCARD", keys.terminal_ticks(0, "EURUSD")) == KEPT


async def test_a_sign_of_life_without_ticks_keeps_the_terminals_class(rig: Rig) -> None:
    send(rig, tick(500))
    await rig.step()
    for cycle in range(2, 60):
        if cycle % 20 == 0:
            send(rig, name=f"b{cycle}", at_ms=T0 + cycle * SECOND)
        await rig.step()
    assert changes(rig) == [("terminal", "fx_spot", "terminal_came")]
    assert rig.status("EURUSD").source == "mt5"


async def test_a_terminal_that_went_gives_way_and_its_replayed_batches_are_no_sign_of_life(rig: Rig) -> None:
    send(rig, tick(500))
    for _ in range(8):
        await rig.step(rig.publisher.cycle + 5)
        send(rig, tick(500))
    assert changes(rig) == [("terminal", "fx_spot", "terminal_came"), ("fx_spot", "terminal", "terminal_gone")]
    assert rig.status("EURUSD").source == "a"
    assert [m.now_ms - T0 for m in rig.raw() if isinstance(m, Clock)][-1] == 40 * SECOND


async def test_what_is_no_batch_is_buried_and_the_rest_goes_on(rig: Rig) -> None:
    rig.link.call("XADD", TICKS.key(0), "*", FIELD, b"{}")
    rig.link.call("XADD", TICKS.key(0), "*", FIELD, encode(Clock(1, 2, 3)))
    send(rig, tick(500))
    await rig.step()
    assert len(of_terminal(rig)) == 1
    assert rig.link.call("XLEN", keys.dead(0, "collector")) == 2
    assert pending(rig) == 0


async def test_symbols_that_the_table_does_not_list_at_the_terminal_are_left_out(rig: Rig) -> None:
    send(rig, tick(500, symbol="GBPUSD"), present=("GBPUSD", "BTCUSD"))
    await rig.step()
    assert of_terminal(rig) == []
    assert rig.status("GBPUSD").source == "a"


async def test_the_report_says_who_is_there_and_what_came_last(rig: Rig) -> None:
    assert rig.terminal.report(T0, 5).is_healthy is None
    send(rig, tick(500))
    await rig.step()
    report = rig.terminal.report(T0 + SECOND, 5)
    assert (report.name, report.account, report.is_healthy, report.quota) == ("mt5", "77", True, {})
    symbol = report.symbols["EURUSD"]
    assert (symbol.present, symbol.last_market_ms, symbol.published) == (True, T0 + 500, 1)
    gone = rig.terminal.report(T0 + 60 * SECOND, 5)
    assert (gone.is_healthy, gone.symbols["EURUSD"].present) == (None, False)


# -- the vendors' classes -------------------------------------------------------------------------


STRIDE = 5  # seconds between two cycles


async def go_on(rig: Rig, seconds: int) -> None:
    for _ in range(seconds // STRIDE):
        await rig.step(rig.publisher.cycle + STRIDE)


async def outage(rig: Rig, seconds: int) -> None:
    rig.a.behave = ok({"error": "outage"})
    await go_on(rig, seconds)


async def test_without_permission_a_symbol_without_its_own_class_is_withheld(rig: Rig) -> None:
    await rig.step()
    await outage(rig, 100)
    assert changes(rig) == []
    assert rig.status("EURUSD").detail == "no source, withheld"
    assert rig.status("EURUSD").source_class == "fx_spot"
    assert rig.b.heard == []


async def test_with_permission_the_next_class_is_tried_and_then_feeds_the_series_until_the_own_one_is_back(
    valkey_link: Link, tmp_path: Path
) -> None:
    async with rig_of(valkey_link, tmp_path, table=table("other")) as rig:
        rig.b.behave = prices(2, EURUSD=51.1)
        await rig.step()
        await outage(rig, 90)
        assert changes(rig) == [("other", "fx_spot", "class_down")]
        status = rig.status("EURUSD")
        assert (status.status, status.source, status.source_class) == ("ok", "b", "other")
        assert rig.status("GBPUSD").status == "withheld"
        rig.a.behave = prices(3, EURUSD=1.2, GBPUSD=1.3)
        await go_on(rig, 400)
        assert changes(rig)[1:] == [("fx_spot", "other", "class_back")]
        assert rig.status("EURUSD").source == "a"
        classes = {(m.source, q.source_class) for m in rig.raw() if isinstance(m, RawQuotes) for q in m.quotes}
        assert classes == {("a", "fx_spot"), ("b", "other")}, "each quote says its class, also those that only try"


async def test_a_restart_between_any_two_cycles_changes_nothing_of_it(valkey_link: Link, tmp_path: Path) -> None:
    async def story(rig: Rig) -> None:
        rig.b.behave = prices(2, EURUSD=51.1)
        rig.a.behave = ok({"error": "no_data"})  # no breaker: the probes' times do not hang on it

    streams = []
    for restarts in (False, True):
        valkey_link.call("FLUSHALL")
        async with rig_of(valkey_link, tmp_path, table=table("other")) as rig:
            await story(rig)
            for number in range(1, 25):
                if restarts and number % 3 == 0:
                    async with restarted(rig, tmp_path, table=table("other")) as again:
                        await go_on(again, STRIDE)
                    rig.cycles.statuses.restore(rig.publisher.open())
                    rig.cycles._feeding.open()
                else:
                    await go_on(rig, STRIDE)
            streams.append(rig.raw())
    assert streams[0] == streams[1]
    assert any(isinstance(m, SeriesChange) for m in streams[0])
