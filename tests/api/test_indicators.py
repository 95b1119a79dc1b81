"""Indicators' histories: the engine's own values at the end, TA-Lib's batch before, in the shape that charts take."""

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
import redis
import talib

from api.context import Context
from common import keys
from common.bars import pack, unpack
from common.features import decode_features
from common.indicators import load_plan
from common.indicators.plan_file import BUILTIN
from common.messages import Bar
from tests.api.world import World, serving, settings_for
from tests.conftest import RedisServer
from tests.features.market import cycles, past, warm_up
from tests.features.support import Entries, Store, bar, handler, history
from tests.features.test_lane import window_start

Api = tuple[httpx.AsyncClient, Context]
Reply = dict[str, Any]
Line = list[dict[str, float]]
MINUTE_MS = 60_000
MAX_BARS, ANCHOR_BARS = 2_600, 130
ROLL_MS = 22 * 3_600_000  # 17:00 in New York in winter: where a session of foreign exchange ends
MORE = """
rsi_14_ema_9 = { function = "EMA", timeperiod = 9, input = "rsi_14" }
obv_sma_5 = { function = "SMA", timeperiod = 5, input = "obv" }
running_momentum = { function = "CUMSUM", input = "momentum" }
pivots = { function = "PIVOT_CLASSIC" }
pivot_average = { function = "SMA", timeperiod = 3, input = "pivots_pivot" }
session_range = { function = "SESSION_RANGE", outputs = ["begun_at", "high_of_it", "low_of_it", "or_high", "or_low"] }
cloud = { function = "ICHIMOKU" }
hurst_64 = { function = "HURST", timeperiod = 64 }
accumulation = { function = "AD" }
place_of_high = { function = "MAXINDEX" }
beta_to_us500 = { function = "BETA", timeperiod = 5, inputs = ["close", "US500:close"], symbols = ["NAS100"] }
only_hourly = { function = "RSI", timeperiod = 4, timeframes = ["1h"] }
"""


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plan that comes with the project, and more."""
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    path.write_text(BUILTIN.read_text() + MORE)
    return path


@pytest.fixture(scope="module")
def lived(plan_file: Path) -> Store:
    """What the engine keeps after 3,000 bars of history and eight hours of quotes, with anchors in them."""
    store, entries = Store(), Entries()
    text = "".join(line for line in plan_file.read_text().splitlines(keepends=True) if "US500" not in line)
    path = plan_file.with_name("engine.toml")  # without the pair: the symbol table has each symbol in its own group
    path.write_text(text)
    stage = handler(
        store, ("EURUSD",), indicators_file=path, timeframes=("1m",), max_bars_cache=MAX_BARS, anchor_bars=ANCHOR_BARS,
        collection_interval=60.0,
    )  # fmt: skip
    (first, *_) = warm_up(("EURUSD",), ("1m",))
    market = cycles(("EURUSD",), 7, 8 * 3_600, every_s=20)
    for entry in entries.of(first, history(past("EURUSD", "1m", 3, 3_000)), *market):
        store.commit(stage.handle((entry,)))
    return store


@pytest.fixture
def world(redis_server: RedisServer, redis_client: "redis.Redis", tmp_path: Path, plan_file: Path) -> World:
    """An empty Redis, and an api with the plan above."""
    changes = {"max_bars_cache": MAX_BARS, "anchor_bars": ANCHOR_BARS, "indicators_file": plan_file}
    return World(redis_client, settings_for(redis_server.port, tmp_path, **changes))


@pytest_asyncio.fixture
async def api(world: World) -> AsyncIterator[Api]:
    async with serving(world) as pair:
        yield pair


def put(world: World, store: Store) -> None:
    """Have the engine's bars and values in Redis."""
    for key in (keys.bar_cache(0, "EURUSD", "1m"), keys.feature_values(0, "EURUSD", "1m")):
        value = store.keys[key]
        world.redis.rpush(key, *value) if isinstance(value, list) else world.redis.set(key, value)


def cache(world: World, bars: Sequence[Bar], symbol: str = "EURUSD", timeframe: str = "1m") -> None:
    world.redis.rpush(keys.bar_cache(0, symbol, timeframe), *(pack(one) for one in bars))


def some(count: int, volume: float = 0.0, **changes: Any) -> list[Bar]:
    """Bars of a Monday's first minutes, each higher than the one before."""
    kind = "traded" if volume else "none"
    start_ms = 1_642_377_600_000
    return [bar(start_ms + n * MINUTE_MS, 1.0 + n, volume=volume, volume_kind=kind, **changes) for n in range(count)]


async def ask(api: Api, query: str, symbol: str = "EURUSD") -> Reply:
    reply = await api[0].get(f"/api/indicators/{symbol}?{query}")
    assert reply.status_code == 200, reply.text
    found: Reply = reply.json()
    return found


async def lines(api: Api, names: str, limit: int = MAX_BARS, symbol: str = "EURUSD") -> dict[str, Line]:
    """All lines of the reply by their names."""
    reply = await ask(api, f"name={names}&limit={limit}", symbol)
    return {name: line for one in reply["indicators"] for name, line in one["lines"].items()}


def values(line: Line) -> list[float]:
    return [point.get("value", np.nan) for point in line]


def window(store: Store) -> np.ndarray:
    """The stored bars in the lane's window, by the rule in words."""
    stored = unpack(store.keys[keys.bar_cache(0, "EURUSD", "1m")])
    return stored[window_start(stored["open_ms"].tolist(), MAX_BARS, ANCHOR_BARS) :]


def column(bars: np.ndarray, name: str) -> np.ndarray:
    return np.ascontiguousarray(bars[name])


def sessions(bars: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where each session begins and ends. A bar belongs to the one that its last millisecond falls into."""
    days = (bars["open_ms"] + MINUTE_MS - 1 - ROLL_MS) // 86_400_000
    for _, members in groupby(range(len(bars)), key=lambda place: int(days[place])):
        places = list(members)
        yield places[0], places[-1] + 1


async def test_the_last_value_is_the_engines_to_the_bit(world: World, api: Api, lived: Store) -> None:
    put(world, lived)
    told = decode_features(lived.keys[keys.feature_values(0, "EURUSD", "1m")])
    program = load_plan(world.settings.indicators_file).program("EURUSD", "1m")

    last: dict[str, float | None] = {}
    names = [one.name for one in program.indicators]
    for place in range(0, len(names), 20):
        found = await lines(api, ",".join(names[place : place + 20]), limit=1)
        last |= {name: line[0].get("value") for name, line in found.items()}
        assert {line[0]["time"] * 1000 for line in found.values()} == {told.bar_open_ms}

    assert len(last) == 81
    assert [name for name, value in last.items() if value is None] == []
    assert last == told.values


async def test_the_series_is_talibs_over_the_lanes_window(world: World, api: Api, lived: Store) -> None:
    put(world, lived)
    bars = window(lived)
    high, low, close = (column(bars, name) for name in ("high", "low", "close"))
    volume = column(bars, "volume")
    expected: dict[str, np.ndarray] = {
        "rsi_14": talib.RSI(close, 14), "ema_200": talib.EMA(close, 200), "atr_14": talib.ATR(high, low, close, 14),
        "rsi_14_ema_9": talib.EMA(talib.RSI(close, 14), 9), "mfi_14": talib.MFI(high, low, close, volume, 14),
        "volume_sma_20": talib.SMA(volume, 20),
    }  # fmt: skip
    expected |= dict(zip(("macd", "macd_signal", "macd_hist"), talib.MACD(close), strict=True))
    bollinger = ("bollinger_upper", "bollinger_middle", "bollinger_lower")
    expected |= dict(zip(bollinger, talib.BBANDS(close, 20, 2.0, 2.0), strict=True))

    reply = await ask(api, "name=rsi_14&limit=1")
    found = await lines(api, "rsi_14,ema_200,atr_14,rsi_14_ema_9,mfi_14,volume_sma_20,macd,bollinger")

    assert MAX_BARS < reply["bars_seen"] == len(bars) <= MAX_BARS + ANCHOR_BARS
    assert found.keys() == expected.keys()
    for name, line in found.items():
        assert [point["time"] * 1000 for point in line] == bars["open_ms"][-MAX_BARS:].tolist()
        assert np.array_equal(values(line), expected[name][-MAX_BARS:], equal_nan=True), name


async def test_sums_begin_anew_with_each_session(world: World, api: Api, lived: Store) -> None:
    put(world, lived)
    bars = window(lived)
    expected: dict[str, np.ndarray] = {name: np.full(len(bars), np.nan) for name in ("obv", "running_momentum")}
    momentum = talib.MOM(column(bars, "close"), 10)
    spans = list(sessions(bars))
    for first, end in spans[1:]:  # the first one's beginning is not in the window
        part = bars[first:end]
        expected["obv"][first:end] = talib.OBV(column(part, "close"), column(part, "volume"))
        expected["running_momentum"][first:end] = talib.CUMSUM(momentum[first:end])

    found = await lines(api, "obv,running_momentum")

    assert len(spans) == 3
    for name, line in found.items():
        assert np.array_equal(values(line), expected[name][-MAX_BARS:], equal_nan=True), name


async def test_levels_of_the_session_before_begin_with_the_second_whole_one(
    world: World, api: Api, lived: Store
) -> None:
    put(world, lived)
    bars = window(lived)
    (_, whole, (first, end)) = sessions(bars)
    before = bars[slice(*whole)]
    high, low, close = float(before["high"].max()), float(before["low"].min()), float(before["close"][-1])

    found = values((await lines(api, "pivots_pivot"))["pivots_pivot"])

    assert found == pytest.approx([(high + low + close) / 3 if first <= n < end else np.nan for n in
                                   range(len(bars) - MAX_BARS, len(bars))], rel=1e-15, nan_ok=True)  # fmt: skip


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
    both = np.array([b.close for b in mine if b.open_ms in times]), np.array([b.close for b in theirs])

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
