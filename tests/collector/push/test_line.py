"""One connection over real sockets: opened again, subscribed again, bounded against whatever the other end does."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection

from collector.push.policy import State
from collector.vendors.base import Verdict
from common.symbols import SymbolTable
from tests.collector.kit import KEY, T0, Now, fault_server, raw
from tests.collector.push.kit import SYMBOLS, Clock, PlainStream, PushServer, live, pushing, until


async def test_a_symbol_is_live_from_its_first_price_until_the_silence_that_counts(
    push_to: PushServer, table: SymbolTable
) -> None:
    async with pushing(table, push_to.url, *SYMBOLS) as push:
        await until(lambda: push.lines[0].standing.state is State.LIVE)
        assert live(push) == ""
        await push_to.push(T0, EURUSD=1.1)
        await until(lambda: live(push))
        assert (live(push), live(push, "GBPUSD")) == ("a", "")
        assert (live(push, now_ms=T0 + 10_000), live(push, now_ms=T0 + 10_001)) == ("a", "")
        (news,) = push.take(T0, checks=True)
        assert [(q.symbol, q.last) for q in news.quotes] == [("EURUSD", 1.1)]
        report = push.report("a", T0 + 5)
        assert (report.state, report.pushed, report.last_price_age_ms, report.connections) == (
            "live", ("EURUSD",), 5, 1,
        )  # fmt: skip


async def test_a_lost_connection_is_live_no_more_and_comes_back_with_its_subscription(
    push_to: PushServer, table: SymbolTable
) -> None:
    async with pushing(table, push_to.url, *SYMBOLS, clock=Clock(), expects=False) as push:
        await until(lambda: len(push_to.open) == 1 and push.lines[0].is_up)
        await push_to.push(T0, EURUSD=1.1)
        await until(lambda: live(push))
        await push_to.drop()
        await until(lambda: not live(push))
        await until(lambda: push.lines[0].is_up)
        assert [f for f in push_to.heard if f != "beat"] == [json.dumps({"subscribe": list(SYMBOLS)})] * 2
        assert live(push) == "a", "its last price is still fresh"
        await push_to.push(T0 + 1, EURUSD=1.2)
        await until(lambda: push.report("a", T0).last_price_age_ms == 0)
        assert push.lines[0].reconnects == 1


async def test_a_socket_that_is_open_and_silent_is_opened_anew(push_to: PushServer, table: SymbolTable) -> None:
    now = Now()

    class Moving(Clock):
        async def sleep(self, seconds: float) -> None:
            if len(push_to.paths) > 2:  # the third one brings a price: time stands still from then on
                await asyncio.sleep(0.002)
                return
            now.at_ms += int(seconds * 1000)
            await super().sleep(seconds)

    async def third_time_lucky(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps({"ok": SYMBOLS}))
        if len(push_to.paths) > 2:
            await socket.send(json.dumps({"quotes": [["EURUSD", now.at_ms, 1.1]]}))
        await socket.wait_closed()

    push_to.talk = third_time_lucky
    with capture_logs() as logs:
        async with pushing(table, push_to.url, *SYMBOLS, now=now, clock=Moving()) as push:
            await until(lambda: push.live("EURUSD", "fx_spot", now.at_ms))
            assert push.lines[0].standing.state is State.LIVE
    told = [(entry["event"], entry["log_level"]) for entry in logs]
    assert told == [
        ("push.open", "info"), ("push.silent", "warning"), ("push.open", "debug"), ("push.silent", "debug"),
        ("push.open", "debug"), ("push.live", "info"),
    ]  # fmt: skip


async def test_a_silent_socket_is_left_alone_while_its_markets_are_closed(
    push_to: PushServer, table: SymbolTable
) -> None:
    now, clock = Now(), Clock()
    async with pushing(table, push_to.url, *SYMBOLS, now=now, clock=clock, expects=False) as push:
        await until(lambda: push.lines[0].is_up)
        now.at_ms += 10**9
        await until(lambda: clock.ahead_s > 50)
        assert (len(push_to.paths), push.lines[0].standing.state) == (1, State.LIVE)


async def test_the_subscription_is_repeated_at_the_vendors_interval(push_to: PushServer, table: SymbolTable) -> None:
    async with pushing(
        table, push_to.url, *SYMBOLS, clock=Clock(), expects=False, vendor=PlainStream(period_s=15.0)
    ) as push:
        await until(lambda: push_to.heard.count("beat") >= 3)
        assert push.lines[0].is_up


# -- refused --------------------------------------------------------------------------------------


async def test_a_refused_key_is_named_once_and_left_alone_for_an_hour(push_to: PushServer, table: SymbolTable) -> None:
    async def refuse(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps({"end": "bad_key"}))
        await socket.wait_closed()

    push_to.talk = refuse
    clock = Clock()
    with capture_logs() as logs:
        async with pushing(table, push_to.url, *SYMBOLS, clock=clock) as push:
            await until(lambda: len(push_to.paths) == 1 and push.lines[0].standing.state is State.REFUSED)
            first = push.lines[0].standing
            assert first.retry_s - clock() > 0 or clock.ahead_s >= 3_599
            await until(lambda: len(push_to.paths) >= 3)
            assert clock.ahead_s >= 2 * 3_599
            report = push.report("a", T0)
    named = [entry for entry in logs if entry["event"] == "push.refused" and entry["log_level"] == "warning"]
    assert [(entry["verdict"], entry["retry_in_s"]) for entry in named] == [(Verdict.BAD_KEY, 3600.0)]
    assert (report.state, report.refused) == ("refused", dict.fromkeys(SYMBOLS, "bad_key"))
    assert KEY not in str(logs) + str(report), "not even where the vendor repeats it"


async def test_a_key_that_the_handshake_refuses_is_refused_as_well(table: SymbolTable) -> None:

    async with fault_server() as server:
        server.behave = raw(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno")
        with capture_logs() as logs:
            async with pushing(table, server.url.replace("http", "ws"), *SYMBOLS) as push:
                await until(lambda: push.lines[0].standing.state is State.REFUSED)
        assert KEY not in str(logs)
        assert server.heard[0].query == {"key": KEY}


async def test_a_symbol_that_the_plan_does_not_push_is_named_once_and_never_live(
    push_to: PushServer, table: SymbolTable
) -> None:
    async def half(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps({"ok": ["EURUSD"], "no": {"GBPUSD": "not_entitled"}}))
        await socket.wait_closed()

    push_to.talk = half
    with capture_logs() as logs:
        async with pushing(table, push_to.url, *SYMBOLS, clock=Clock(), expects=False) as push:
            await until(lambda: push.lines[0].is_up)
            await push_to.drop()
            await until(lambda: push.lines[0].reconnects == 1 and push.lines[0].is_up)
            assert push.report("a", T0).refused == {"GBPUSD": "not_entitled"}
            assert not push.lines[0].carries("GBPUSD", "fx_spot")
    assert len([entry for entry in logs if entry["event"] == "push.symbol_refused"]) == 1


async def test_a_connection_that_carries_nothing_is_refused(push_to: PushServer, table: SymbolTable) -> None:
    async def none(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps({"no": dict.fromkeys(SYMBOLS, "not_entitled")}))
        await socket.wait_closed()

    push_to.talk = none
    async with pushing(table, push_to.url, *SYMBOLS) as push:
        await until(lambda: push.lines[0].standing.state is State.REFUSED)
        await until(lambda: not push_to.open)


# -- stepped --------------------------------------------------------------------------------------


async def test_stepped_everything_that_was_sent_before_is_read_when_the_cycle_has_begun(
    push_to: PushServer, table: SymbolTable
) -> None:
    now = Now()
    async with pushing(table, push_to.url, *SYMBOLS, now=now, stepped=True) as push:
        await push.ready()
        assert push.lines[0].is_up
        for cycle in range(1, 30):
            for number in range(40):  # more than the socket holds at once
                await push_to.push(T0 + 1_000 * cycle + number, EURUSD=1.0 + number)
            now.at_ms = T0 + 1_000 * (cycle + 1)
            await push.catch_up()
            (news,) = push.take(now.at_ms, checks=True)
            assert [q.last for q in news.quotes] == [1.0 + number for number in range(40)]
            assert news.received_ms == now.at_ms


async def test_stepped_a_socket_that_answers_no_ping_is_ended_and_holds_nothing_up_for_long(
    push_to: PushServer, table: SymbolTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.push.connection.PONG_S", 0.1)
    async with pushing(table, push_to.url, *SYMBOLS, stepped=True) as push:
        await push.ready()
        push_to.open[0].transport.pause_reading()
        await push.catch_up()
        await until(lambda: push.lines[0].standing.state is State.DOWN)


async def test_stepped_a_start_waits_for_the_first_attempt_only(table: SymbolTable, unused_tcp_port: int) -> None:
    async with pushing(table, f"ws://127.0.0.1:{unused_tcp_port}", *SYMBOLS, stepped=True) as push:
        await asyncio.wait_for(push.ready(), 2)
        assert not push.lines[0].is_up
