"""What Twelve Data's stream says, against the recorded frames and without them."""

import json
from pathlib import Path

import pytest

from simulator.dialogue import Dialogue, Opening, Says
from simulator.instruments import Instrument
from simulator.twelvedata_stream import TwelveDataStream
from simulator.wire import Answer
from tests.simulator.kit import START_MS, made
from tests.simulator.shapes import assert_alike, load
from tests.simulator.talk import Talk


def twelvedata(real: bool = False, key: str = "k") -> Talk:
    return Talk(made(real=real), "twelvedata", real=real, apikey=key)


def test_twelvedata_frames_are_as_recorded(recorded: Path) -> None:
    talk = twelvedata()
    theirs = {name: load(recorded / "twelvedata" / f"ws_{name}.json") for name in (
        "subscribe_status_ok", "price_XAUUSD_20220322", "price_AAPL_2020", "heartbeat", "client_subscribe",
        "client_heartbeat",
    )}  # fmt: skip
    assert talk.answer({"action": "subscribe", "params": {"symbols": "EUR/USD"}}) == theirs["subscribe_status_ok"]
    assert talk.answer(theirs["client_heartbeat"]) == theirs["heartbeat"]
    assert len(talk.answer(theirs["client_subscribe"])["success"]) == 3
    talk.answer({"action": "subscribe", "params": {"symbols": "XAU/USD,NDX"}})
    events = {one["symbol"]: one for one in map(json.loads, talk.cycle(2))}
    gold = theirs["price_XAUUSD_20220322"]
    assert_alike(events["XAU/USD"], gold)
    fixed = ("event", "symbol", "currency", "currency_base", "currency_quote", "type")
    assert [events["XAU/USD"][key] for key in fixed] == [gold[key] for key in fixed]
    assert_alike(events["NDX"], theirs["price_AAPL_2020"])


def test_twelvedata_price_events_have_sides_for_pairs_and_none_for_indices() -> None:
    talk = twelvedata()
    talk.answer({"action": "subscribe", "params": {"symbols": "EUR/USD,SPX"}})
    pair, index = map(json.loads, talk.cycle(1))
    assert list(pair) == [
        "event", "symbol", "currency", "currency_base", "currency_quote", "type", "timestamp", "price", "bid", "ask",
    ]  # fmt: skip
    assert pair["bid"] < pair["price"] < pair["ask"]
    assert START_MS // 1000 <= pair["timestamp"] <= START_MS // 1000 + 1
    assert list(index) == ["event", "symbol", "currency", "exchange", "type", "timestamp", "price", "day_volume"]


def test_twelvedata_tells_success_and_fails_symbol_by_symbol() -> None:
    talk = twelvedata()
    some = talk.answer({"action": "subscribe", "params": {"symbols": "EUR/USD, FOO"}})
    assert (some["status"], [one["symbol"] for one in some["success"]], some["fails"]) == (
        "ok", ["EUR/USD"], [{"symbol": "FOO"}],
    )  # fmt: skip
    none = talk.answer({"action": "subscribe", "params": {"symbols": [{"symbol": "BTC"}]}})
    assert none == {"event": "subscribe-status", "status": "error", "success": None, "fails": [{"symbol": "BTC"}]}


def test_twelvedata_unsubscribes_and_resets() -> None:
    talk = twelvedata()
    talk.answer({"action": "subscribe", "params": {"symbols": "EUR/USD,GBP/USD,XAU/USD"}})
    gone = talk.answer({"action": "unsubscribe", "params": {"symbols": "EUR/USD,NDX"}})
    assert (gone["event"], [one["symbol"] for one in gone["success"]]) == ("unsubscribe-status", ["EUR/USD"])
    assert len(talk.cycle(3)) == 2
    assert talk.answer({"action": "reset"}) == {"event": "reset-status", "status": "ok"}
    assert talk.cycle(3) == talk.cycle(4) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"action":"dance"}', '{"params":{}}'])
def test_twelvedata_answers_nonsense_with_an_error_object(text: str) -> None:
    (frame,) = twelvedata().dialogue.read(text).frames
    assert (json.loads(frame)["code"], json.loads(frame)["status"]) == (400, "error")


def test_twelvedata_tells_a_bad_key_and_ends_the_connection(recorded: Path) -> None:
    talk = twelvedata(key="bad")
    (frame,) = talk.opened.frames
    assert (json.loads(frame)["code"], talk.opened.close) == (401, 1008)
    theirs = json.loads(next((recorded / "twelvedata").glob("error_401*")).read_text())
    assert list(json.loads(frame)) == list(theirs)


def test_twelvedata_without_a_key_refuses_the_handshake() -> None:
    answer = TwelveDataStream({}, real_limits=False).welcome(Opening("/v1/quotes/price", {}, {}))
    assert isinstance(answer, Answer)
    assert (answer.status, answer.verdict) == (401, "bad_key")


def test_the_free_twelvedata_plan_streams_trial_symbols_only() -> None:
    talk = twelvedata(real=True)
    status = talk.answer({"action": "subscribe", "params": {"symbols": "EUR/USD,GBP/USD,XAU/USD,NDX"}})
    assert [one["symbol"] for one in status["success"]] == ["EUR/USD"]
    assert [one["symbol"] for one in status["fails"]] == ["GBP/USD", "XAU/USD", "NDX"]
    assert list(talk.dialogue.wanted()) == ["EUR/USD"]


def free_plan(credits_: int) -> TwelveDataStream:
    pair = Instrument("twelvedata", "EUR/USD", "EURUSD", "fx_spot", "fx", 0, traded=False)
    return TwelveDataStream({"EUR/USD": pair}, real_limits=True, trial_credits=credits_)


def opened(vendor: TwelveDataStream, key: str = "k") -> tuple[Dialogue, Says]:
    dialogue = vendor.welcome(Opening("/v1/quotes/price", {"apikey": key}, {}))
    assert not isinstance(dialogue, Answer)
    return dialogue, dialogue.opened()


def test_the_free_twelvedata_plan_has_so_many_credits_over_all_connections_of_a_key() -> None:
    vendor = free_plan(2)
    order = '{"action":"subscribe","params":{"symbols":"EUR/USD"}}'
    dialogues = [opened(vendor)[0] for _ in range(3)]
    statuses = [json.loads(one.read(order).frames[0])["status"] for one in (*dialogues, dialogues[0])]
    assert statuses == ["ok", "ok", "error", "ok"]  # the last is repeated: no new credit
    dialogues[0].read('{"action":"reset"}')
    assert json.loads(dialogues[2].read(order).frames[0])["status"] == "ok"


def test_the_free_twelvedata_plan_has_three_connections() -> None:
    vendor = free_plan(8)
    dialogues = [opened(vendor) for _ in range(4)]
    assert [said.close for _, said in dialogues] == [None, None, None, 1008]
    assert json.loads(dialogues[3][1].frames[0])["code"] == 429
    assert opened(vendor, "other")[1].close is None
    dialogues[0][0].closed()
    assert opened(vendor)[1].close is None
