"""What Polygon's streams say, against the recorded frames and without them."""

import json
from pathlib import Path

import pytest

from simulator.dialogue import Dialogue, Opening, Says
from simulator.polygon_stream import PolygonStream
from simulator.wire import Answer
from tests.simulator.kit import START_MS, client_of, made
from tests.simulator.shapes import assert_alike, load
from tests.simulator.talk import Talk


def polygon(path: str = "/forex", *channels: str) -> Talk:
    talk = Talk(made(), "polygon", path=path)
    assert talk.answer({"action": "auth", "params": "k"})[0]["status"] == "auth_success"
    if channels:
        talk.answer({"action": "subscribe", "params": ",".join(channels)})
    return talk


def test_polygon_statuses_are_as_recorded(recorded: Path) -> None:
    theirs = {name: load(recorded / "polygon" / f"ws_{name}.json") for name in (
        "connected", "auth_success", "auth_failed", "subscribed", "client_auth", "client_subscribe",
    )}  # fmt: skip
    talk = Talk(made(), "polygon")
    assert [json.loads(text) for text in talk.opened.frames] == [theirs["connected"]]
    assert talk.answer(theirs["client_auth"]) == theirs["auth_success"]
    assert talk.answer({"action": "subscribe", "params": "C.AUD/USD"}) == theirs["subscribed"]
    assert len(talk.answer(theirs["client_subscribe"])) == 3
    failed = Talk(made(), "polygon").say({"action": "auth", "params": "bad"})
    assert ([json.loads(text) for text in failed.frames], failed.close) == ([theirs["auth_failed"]], 1008)


def test_polygon_events_are_as_recorded(recorded: Path) -> None:
    talk = polygon("/forex", "C.EUR/USD", "CA.EUR/USD")
    (quotes,) = map(json.loads, talk.cycle(1))
    theirs = load(recorded / "polygon" / "ws_C_USDCNH.json")
    assert list(quotes[0]) == list(theirs[0])
    assert {**quotes[0], "x": ""}.keys() == theirs[0].keys()  # x: a string there, an integer by its type
    bars = [event for cycle in range(2, 62) for text in talk.cycle(cycle) for event in json.loads(text)]
    (bar,) = [event for event in bars if event["ev"] == "CA"]
    assert_alike(bar, load(recorded / "polygon" / "ws_CA_USDSGD_20231024.json")[0], numbers_alike=True)
    (values,) = map(json.loads, polygon("/indices", "V.I:SPX").cycle(1))
    assert_alike(values, load(recorded / "polygon" / "ws_V_ISPX.json"), numbers_alike=True)


def test_polygon_goes_from_connected_over_auth_to_one_status_for_each_channel() -> None:
    talk = Talk(made(), "polygon")
    assert talk.answer({"action": "subscribe", "params": "C.EUR/USD"})[0]["message"] == "not authorized"
    assert talk.answer({"action": "auth", "params": "k"})[0]["status"] == "auth_success"
    statuses = talk.answer({"action": "subscribe", "params": "C.EUR/USD,CA.XAU/USD,V.I:NDX"})
    assert [(one["status"], one["message"]) for one in statuses] == [
        ("success", "subscribed to: C.EUR/USD"), ("success", "subscribed to: CA.XAU/USD"),
        ("error", "unknown channel: V.I:NDX"),
    ]  # fmt: skip


def test_polygon_sends_all_of_a_cycle_in_one_array_statuses_first() -> None:
    talk = polygon("/forex", "C.EUR/USD", "C.XAU/USD", "C.GBP/USD")
    assert talk.say({"action": "unsubscribe", "params": "C.GBP/USD"}) == Says()
    (events,) = map(json.loads, talk.cycle(2))
    assert [(one["ev"], one.get("p", one.get("message"))) for one in events] == [
        ("status", "unsubscribed to: C.GBP/USD"), ("C", "EUR/USD"), ("C", "XAU/USD"),
    ]  # fmt: skip


def test_polygon_channels_with_a_star_are_all_of_a_cluster() -> None:
    talk = polygon("/forex", "C.*")
    assert list(talk.dialogue.wanted()) == ["C:XAUUSD", "C:EURUSD", "C:GBPUSD"]
    (events,) = map(json.loads, talk.cycle(3))
    assert [one["p"] for one in events] == ["XAU/USD", "EUR/USD", "GBP/USD"]
    assert list(polygon("/indices", "V.*").dialogue.wanted()) == ["I:NDX", "I:DJI", "I:SPX"]


@pytest.mark.parametrize("pair", ["C.EURUSD", "C.AUD/USD", "C.I:NDX"])
def test_polygon_confirms_pairs_that_do_not_exist_and_says_nothing_of_them(pair: str) -> None:
    talk = polygon()
    assert talk.answer({"action": "subscribe", "params": pair})[0]["status"] == "success"
    assert talk.cycle(1) == []


async def test_polygon_minute_bars_are_those_of_its_aggregates() -> None:
    talk = polygon("/forex", "CA.EUR/USD")
    found = [(cycle, json.loads(text)) for cycle in range(1, 125) for text in talk.cycle(cycle)]
    assert [cycle for cycle, _ in found] == [60, 120]
    client = client_of(made())
    await client.go(120)
    rows = (
        await client.get(
            f"/polygon/v2/aggs/ticker/C:EURUSD/range/1/minute/{START_MS}/{START_MS + 119_999}?limit=50000&apiKey=k"
        )
    ).json["results"]
    ours = [{"t": bar["s"], **{key: bar[key] for key in "ohlcv"}} for _, (bar,) in found]
    assert ours == [{key: row[key] for key in ("t", *"ohlcv")} for row in rows]
    assert all(bar["e"] - bar["s"] == 60_000 for _, (bar,) in found)


def test_polygon_second_bars_of_an_index_tell_the_days_open() -> None:
    talk = polygon("/indices", "A.I:NDX", "AM.I:NDX")
    (bar,) = json.loads(talk.cycle(2)[0])
    assert list(bar) == ["ev", "sym", "op", "o", "c", "h", "l", "s", "e"]
    assert (bar["ev"], bar["sym"], bar["e"] - bar["s"]) == ("A", "I:NDX", 1000)


def test_the_free_polygon_plan_has_no_websocket() -> None:
    talk = Talk(made(real=True), "polygon", real=True)
    said = talk.say({"action": "auth", "params": "k"})
    assert said.close == 1008
    assert json.loads(said.frames[0])[0] == {
        "ev": "status", "status": "auth_failed",
        "message": "Your plan doesn't include websocket access. Visit https://massive.com/pricing to upgrade.",
    }  # fmt: skip


def test_a_second_connection_of_a_key_to_a_cluster_ends_the_first() -> None:
    vendor = PolygonStream({}, real_limits=False)

    def authenticated(path: str, key: str) -> tuple[Dialogue, Says]:
        dialogue = vendor.welcome(Opening(path, {}, {}))
        assert not isinstance(dialogue, Answer)
        return dialogue, dialogue.read(json.dumps({"action": "auth", "params": key}))

    first, said = authenticated("/forex", "k")
    others = [authenticated("/indices", "k")[1], authenticated("/forex", "other")[1]]
    assert [one.elsewhere for one in (said, *others)] == [(), (), ()]
    second, said = authenticated("/forex", "k")
    ((told, farewell),) = said.elsewhere
    assert (told is first, farewell.close, json.loads(farewell.frames[0])[0]["status"]) == (
        True, 1008, "max_connections",
    )  # fmt: skip
    first.closed()
    second.closed()
    assert authenticated("/forex", "k")[1].elsewhere == ()


@pytest.mark.parametrize("text", ["{", "[]", '{"action":"dance"}'])
def test_polygon_answers_nonsense_with_an_error_status(text: str) -> None:
    (frame,) = polygon().dialogue.read(text).frames
    assert json.loads(frame)[0]["status"] == "error"
