"""The expert advisor of docs/mt5, compiled, against the real api: what it orders, refuses and reports."""

import json

import jsonschema_rs
import pytest

from tests.api.test_openapi import DOCUMENT
from tests.api.world import NOON_MS
from tests.mt5.desk import TOKEN, Desk, signal

STOP, TARGET = 14990.0, 15035.01  # of the world's signal on NAS100, in two digits


async def test_a_start_tells_the_brokers_terms_and_an_end_says_goodbye(desk: Desk) -> None:
    assert "code 0" in await desk.terminal.tell("init")
    assert [asked.path for asked in desk.terminal.asked] == ["/health", "/api/broker/symbols"]
    shown = await desk.client.get("/api/broker/symbols", headers={"authorization": f"Bearer {TOKEN}"})
    nasdaq = next(symbol for symbol in shown.json()["symbols"] if symbol["symbol"] == "NAS100")
    assert (nasdaq["holds"], nasdaq["posted"]["margin_per_lot"]) == ("posted", 150.06)  # 15,005.5 / 100, half up
    await desk.terminal.tell("deinit")
    goodbye = {"event": "ea_shutdown", "reason": 1, "equity": 10000.0, "pnl": 0.0, "trades": 0}
    assert desk.posted("/api/events") == [goodbye]


async def test_a_signal_is_ordered_once_reported_and_its_end_too(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    await desk.seconds(10)
    # By hand: 100 USD at risk, 15 points: 6.66 lots, in tenths 6.6. At the ask.
    assert desk.terminal.orders == [f"order US100.e BUY 6.6 15005.5 {STOP:.0f} {TARGET:.0f}"]
    (held,) = await desk.positions()
    assert (held["status"], held["lots"], held["stop_loss"]) == ("open", 6.6, STOP)
    assert held["signal_id"] == f"NAS100|1m|momentum_v3|{NOON_MS - 60_000}"
    await desk.terminal.tell("close 500 14990.0 4 -102.3")
    await desk.seconds(2)
    (held,) = await desk.positions()
    assert (held["status"], held["presumed"], held["exit_reason"], held["exit_price"]) == ("closed", False, "SL", STOP)
    assert len(desk.terminal.orders) == 1


async def test_what_is_lost_on_the_way_is_sent_until_it_is_taken_and_meanwhile_nothing_is_ordered(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    desk.away = {"/api/executions"}
    await desk.seconds(5)
    asked = len([a for a in desk.terminal.asked if a.path.startswith("/api/signals")])
    assert (len(desk.terminal.orders), asked, await desk.positions()) == (1, 1, [])
    desk.away, desk.deaf = set(), {"/api/executions"}
    await desk.seconds(3)
    desk.deaf = set()
    await desk.seconds(3)
    assert (len(desk.terminal.orders), len(await desk.positions())) == (1, 1)
    assert len(desk.posted("/api/executions")) >= 8


async def test_a_restart_orders_nothing_again_and_reports_what_was_lost(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    desk.away = {"/api/executions"}
    await desk.seconds(2)
    await desk.terminal.tell("forget")
    await desk.terminal.tell("close 500 15035.0 5 198.0")
    await desk.terminal.tell("forget")
    desk.away = set()
    await desk.terminal.tell("init")
    await desk.seconds(5)
    (held,) = await desk.positions()
    assert (held["status"], held["exit_reason"], held["alpha_id"]) == ("closed", "TP1", "momentum_v3")
    assert len(desk.terminal.orders) == 1


async def test_within_an_hour_the_server_learns_of_a_trade_whose_report_was_lost_for_good(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    desk.away = {"/api/executions"}
    await desk.seconds(1)
    await desk.terminal.tell("forget")
    desk.away = set()
    await desk.seconds(2)
    assert await desk.positions() == []
    await desk.terminal.tell("pass 3600000")
    await desk.seconds(2)
    assert [held["status"] for held in await desk.positions()] == ["open"]


async def test_the_goodbye_counts_each_trade_once_however_often_it_was_reported(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    await desk.seconds(2)
    await desk.terminal.tell("close 500 15035.0 5 198.0")
    await desk.terminal.tell("pass 3600000")  # all trades of a day are reported again
    await desk.seconds(2)
    await desk.terminal.tell("deinit")
    assert [event["trades"] for event in desk.posted("/api/events")] == [1]


async def test_a_signal_that_was_ordered_is_never_ordered_again_though_the_server_serves_it_and_knows_nothing(
    desk: Desk,
) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    await desk.seconds(1)
    await desk.terminal.tell("close 500 15006.0 0 1.0")
    await desk.terminal.tell("forget")  # the reports are gone; the server serves the signal again
    await desk.seconds(5)
    assert len(desk.terminal.orders) == 1
    assert any("done" in line for line in desk.terminal.said)


@pytest.mark.parametrize(
    ("market", "changes", "why"),
    [
        ({"BID": 14990.0, "ASK": 14990.5}, {}, "the market is at the stop"),
        ({"BID": 15034.0, "ASK": 15035.01}, {}, "the market is at the target"),
        ({"BID": 15008.0, "ASK": 15008.1}, {}, "further from the entry"),  # 3.1 of 15 points: more than a fifth
        ({"TRADE_STOPS_LEVEL": 1500}, {}, "the market is at the stop"),  # 15 points away from 15004.5
        ({"BID": 0.0, "ASK": 0.0}, {}, "no market"),
        ({"BID": 15005.5, "ASK": 15004.5}, {}, "no market"),
        ({}, {"confidence": 0.49}, "confidence"),
        ({}, {"symbol": "XAUUSD"}, "not in InpSymbols"),
    ],
)
async def test_what_does_not_fit_is_refused_and_never_moved(
    desk: Desk, market: dict[str, float], changes: dict[str, object], why: str
) -> None:
    await desk.terminal.tell("init")
    await desk.terminal.symbol("US100.e", market)
    if "symbol" in changes:
        desk.world.signal("XAUUSD", expires_ms=desk.world.wall.ms + 60_000)
    else:
        signal(desk, **changes)
    await desk.seconds(3)
    assert desk.terminal.orders == []
    assert [line for line in desk.terminal.said if why in line]


@pytest.mark.parametrize("terms", [{"VOLUME_STEP": 0.5}, {"VOLUME_MIN": 7.0}, {"VOLUME_MAX": 6.0}, {"VOLUME_STEP": 0}])
async def test_lots_that_the_broker_would_not_take_are_refused(desk: Desk, terms: dict[str, float]) -> None:
    """The broker has changed its terms since the start: 6.6 lots were right by those."""
    await desk.terminal.tell("init")
    await desk.terminal.symbol("US100.e", terms)
    signal(desk)
    await desk.seconds(2)
    assert desk.terminal.orders == []
    assert [line for line in desk.terminal.said if "lot" in line]


async def test_a_signal_that_expired_on_the_way_is_refused(desk: Desk) -> None:
    await desk.terminal.tell("init")
    desk.slow_ms = 2_500
    signal(desk, expires_ms=desk.world.wall.ms + 3_000)
    await desk.seconds(1)  # 2,000 ms are left when the server answers
    assert desk.terminal.orders == []
    assert [line for line in desk.terminal.said if "expired" in line]


@pytest.mark.parametrize(
    ("allowed", "mode", "orders"),
    [("false", 0, 0), ("true", 2, 0), ("true", 0, 1)],
    ids=["not", "real account", "demo"],
)
async def test_simulated_signals_are_for_demo_accounts_and_by_leave_only(
    desk: Desk, allowed: str, mode: int, orders: int
) -> None:
    await desk.terminal.tell(f"input InpAllowSimulated {allowed}")
    await desk.terminal.account(TRADE_MODE=mode)
    await desk.terminal.tell("init")
    desk.simulated = True
    signal(desk)
    await desk.seconds(2)
    assert len(desk.terminal.orders) == orders


async def test_no_more_positions_are_opened_than_allowed(desk: Desk) -> None:
    await desk.terminal.tell("input InpMaxPositions 0")
    await desk.terminal.tell("init")
    signal(desk)
    await desk.seconds(2)
    assert desk.terminal.orders == []
    assert [line for line in desk.terminal.said if "positions" in line]


async def test_a_wrong_token_is_said_and_nothing_is_ordered(desk: Desk) -> None:
    await desk.terminal.tell("input InpToken wrong")
    await desk.terminal.tell("init")
    signal(desk)
    await desk.seconds(5)
    assert desk.terminal.orders == []
    assert len([line for line in desk.terminal.said if "no signals: status 401" in line]) == 1


async def test_a_sell_is_sold_at_the_bid(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk, action="SELL", stop_loss=15020.0, take_profit_1=14975.0, take_profit_2=14960.0)
    await desk.terminal.tell("input InpSecondTarget true")
    await desk.seconds(2)
    assert desk.terminal.orders == ["order US100.e SELL 6.6 15004.5 15020 14960"]


async def test_without_leave_to_trade_it_only_says_what_it_would_do(desk: Desk) -> None:
    await desk.terminal.tell("input InpTrade false")
    await desk.terminal.tell("init")
    signal(desk)
    await desk.seconds(3)
    assert desk.terminal.orders == []
    assert [line for line in desk.terminal.said if "would BUY 6.60 US100.e" in line]


async def test_each_body_is_as_documented_and_no_call_carries_what_another_left(desk: Desk) -> None:
    await desk.terminal.tell("init")
    signal(desk)
    await desk.seconds(6)
    await desk.terminal.tell("close 500 15020.0 0 100.0")
    await desk.seconds(1)
    await desk.terminal.tell("deinit")
    for asked in desk.terminal.asked:
        assert asked.headers == f"Content-Type: application/json|Authorization: Bearer {TOKEN}|"
        if asked.method == "POST":
            content = DOCUMENT["paths"][asked.path]["post"]["requestBody"]["content"]["application/json"]
            schema = {**content["schema"], "components": DOCUMENT["components"]}
            jsonschema_rs.validate(schema, json.loads(asked.body))
        else:
            assert asked.body == ""
    beats = desk.posted("/api/heartbeat")
    assert beats[0] == {"equity": 10000.0, "balance": 10000.0, "free_margin": 9000.0, "positions": 0}
    assert len(beats) == 2
