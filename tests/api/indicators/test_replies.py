"""What a reply of indicators' histories says beside its numbers, and what is refused."""

import numpy as np
import pytest
import talib

from tests.api.indicators.asking import MAX_BARS, Api, ask, cache, lines, some, values
from tests.api.world import World
from tests.features.support import bar


async def test_outputs_of_one_indicator_are_told_together(world: World, api: Api) -> None:
    cache(world, some(40))
    reply = await ask(api, "name=macd_hist,rsi_14,macd_signal,rsi_14&limit=2")
    assert [(one["name"], list(one["lines"])) for one in reply["indicators"]] == [
        ("macd", ["macd_signal", "macd_hist"]), ("rsi_14", ["rsi_14"]),
    ]  # fmt: skip
    reply = await ask(api, "name=macd&limit=2")
    assert list(reply["indicators"][0]["lines"]) == ["macd", "macd_signal", "macd_hist"]


async def test_a_reply_tells_all_of_an_indicator(world: World, api: Api) -> None:
    cache(world, some(3))
    world.lane("EURUSD", "1m", not_ready={"sma_20": "warming up: 3 of 20 bars"})
    assert await ask(api, "name=rsi_14_ema_9,sma_20&limit=2") == {
        "symbol": "EURUSD", "broker": "EURUSD", "timeframe": "1m", "source_class": "fx_spot", "bars_seen": 3,
        "indicators": [
            {
                "name": "rsi_14_ema_9", "function": "EMA", "call": "talib.EMA(rsi_14, timeperiod=9)",
                "source": "TA-Lib", "inputs": ["rsi_14"], "params": {"timeperiod": 9}, "memory": "recursive",
                # TA-Lib's lookbacks: 14 of RSI(14) and 8 of EMA(9); five times that settles it.
                "lookback": 22, "settle_bars": 148, "ready": None, "not_ready": {},
                "lines": {"rsi_14_ema_9": [{"time": 1_642_377_660}, {"time": 1_642_377_720}]},
            },
            {
                "name": "sma_20", "function": "SMA", "call": "talib.SMA(close, timeperiod=20)",
                "source": "TA-Lib", "inputs": ["close"], "params": {"timeperiod": 20}, "memory": "window",
                "lookback": 19, "settle_bars": 20, "ready": False,
                "not_ready": {"sma_20": "warming up: 3 of 20 bars"},
                "lines": {"sma_20": [{"time": 1_642_377_660}, {"time": 1_642_377_720}]},
            },
        ],
        "timestamp": "2026-06-17T14:00:00.000Z", "simulated": False,
    }  # fmt: skip


async def test_a_function_of_our_own_names_its_source(world: World, api: Api) -> None:
    cache(world, some(3))
    (found,) = (await ask(api, "name=vwap"))["indicators"]
    assert found["call"] == "VWAP_BANDS(high, low, close, volume, nbdev=2.0)"
    assert found["source"] == "West (1979), Communications of the ACM 22/9"


async def test_what_needs_volume_has_no_number_without_it(world: World, api: Api) -> None:
    cache(world, some(30))
    world.lane("EURUSD", "1m", not_ready={"volume_sma_20": "no volume"})
    (found,) = (await ask(api, "name=volume_sma_20&limit=30"))["indicators"]
    assert (found["ready"], found["not_ready"]) == (False, {"volume_sma_20": "no volume"})
    assert [set(point) for point in found["lines"]["volume_sma_20"]] == [{"time"}] * 30


async def test_volume_counts_from_where_it_is_of_one_kind(world: World, api: Api) -> None:
    cache(world, [*some(60)[:25], *some(60, volume=2.0)[25:]])
    found = await lines(api, "volume_sma_20,sma_20", limit=60)
    assert [place for place, value in enumerate(values(found["volume_sma_20"])) if value == 2.0] == [*range(44, 60)]
    assert np.isnan(values(found["volume_sma_20"])[:44]).all()
    assert np.isfinite(values(found["sma_20"])[19:]).all()


async def test_two_symbols_meet_where_both_have_a_bar(world: World, api: Api) -> None:
    rng = np.random.default_rng(5)
    mine = [bar(b.open_ms, float(rng.uniform(90, 110)), symbol="NAS100") for b in some(40)]
    theirs = [bar(b.open_ms, float(rng.uniform(90, 110)), symbol="US500") for n, b in enumerate(mine) if n % 4]
    cache(world, mine, "NAS100")
    cache(world, theirs, "US500")
    times = {b.open_ms for b in theirs}
    both = np.array([b.close for b in theirs]), np.array([b.close for b in mine if b.open_ms in times])

    line = (await lines(api, "beta_to_us500", symbol="NAS100"))["beta_to_us500"]

    expected = iter(talib.BETA(*both, timeperiod=5))
    assert np.array_equal(
        values(line), [next(expected) if b.open_ms in times else np.nan for b in mine], equal_nan=True
    )


async def test_a_pair_without_the_other_symbols_bars_has_no_value(world: World, api: Api) -> None:
    cache(world, some(40), "NAS100")
    assert np.isnan(values((await lines(api, "beta_to_us500", symbol="NAS100"))["beta_to_us500"])).all()


async def test_what_the_plan_has_elsewhere_only_is_not_there(world: World, api: Api) -> None:
    cache(world, some(3), timeframe="1h")
    assert (await ask(api, "name=only_hourly&timeframe=1h"))["indicators"][0]["name"] == "only_hourly"
    for name in ("only_hourly", "beta_to_us500"):
        assert (await api[0].get(f"/api/indicators/EURUSD?name={name}")).status_code == 422


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("", 422, "name is missing: an indicator's, an output's, or several, comma separated"),
        ("name=", 422, "name is missing: an indicator's, an output's, or several, comma separated"),
        ("name=rsi_15", 422, "EURUSD 1m has no indicator 'rsi_15'; did you mean rsi_14?"),
        ("name=rsi_14,mcad_signal", 422, "EURUSD 1m has no indicator 'mcad_signal'; did you mean macd_signal?"),
        ("name=%ff%C3%A9", 422, "EURUSD 1m has no indicator '\ufffd\u00e9'"),
        ("name=rsi_14&name=ema_9", 422, "name is given more than once"),
        ("name=rsi_14&limit=0", 422, "limit is out of range"),
        (f"name=rsi_14&limit={MAX_BARS + 1}", 422, "limit is out of range"),
        ("name=rsi_14&timeframe=2m", 422, "timeframe is not configured"),
        ("name=rsi_14", 404, "the bar cache has no bars of EURUSD 1m"),
    ],
)
async def test_what_is_not_there_is_refused_with_what_is(api: Api, query: str, status: int, message: str) -> None:
    reply = await api[0].get(f"/api/indicators/EURUSD?{query}")
    assert (reply.status_code, reply.json()["error"]["message"]) == (status, message)


async def test_an_unknown_symbol_is_not_found(api: Api) -> None:
    assert (await api[0].get("/api/indicators/NOPE?name=rsi_14")).status_code == 404


async def test_more_than_a_reply_should_hold_is_refused(world: World, api: Api) -> None:
    cache(world, some(3))
    names = "bollinger,keltner,donchian,macd,vwap,pivots"  # 5 x 3 and 7 lines
    reply = await api[0].get(f"/api/indicators/EURUSD?name={names}&limit={MAX_BARS}")
    assert reply.status_code == 422
    assert reply.json()["error"]["expected"] == "at most 50000 points: fewer names, or a limit up to 2272"
    assert (await api[0].get(f"/api/indicators/EURUSD?name={names}&limit=2272")).status_code == 200


async def test_before_the_engine_says_anything_the_collectors_word_tells_the_class(world: World, api: Api) -> None:
    cache(world, some(3))
    world.status("EURUSD", source_class="fx_spot")
    reply = await ask(api, "name=sma_20")
    assert (reply["source_class"], reply["indicators"][0]["ready"]) == ("fx_spot", None)
