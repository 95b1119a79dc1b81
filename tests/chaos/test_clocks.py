"""The wall clock is set back and forward, and daylight saving begins and ends: bars are UTC, durations monotonic."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest

from common import keys
from common.messages import Clock, decode
from tests.chaos.matrix import fault
from tests.chaos.small_replay import seconds_to_next_cycle
from tests.chaos.wrong_clock import WallClock
from tests.pipeline import bars_data
from tests.pipeline.harness import Pipeline
from tests.pipeline.test_replay import wait_until_done
from tests.support import wait_until

HOUR_S = 3600
MINUTE_MS = 60_000
Measured = Callable[..., None]


def clocks(pipeline: Pipeline) -> list[Clock]:
    """Return the clock entries that are still in the raw stream, oldest first."""
    entries = cast(list[tuple[bytes, dict[bytes, bytes]]], pipeline.client().xrange(keys.RAW.key(0)))
    found = [decode(fields[keys.FIELD]) for _, fields in entries]
    return [message for message in found if isinstance(message, Clock)]


def is_warm(pipeline: Pipeline) -> bool:
    """Tell whether it is healthy, and the first load of history is through."""
    if pipeline.health() != "healthy" or not pipeline.settled():
        return False
    return all(pipeline.get(f"/api/features/{symbol}?timeframe=1m").get("ready") for symbol in ("EURUSD", "XAUUSD"))


@fault(
    "F17",
    row="the wall clock of all processes, Redis too, set back an hour, then forward by two",
    promise="health says so at once and is healthy again within seconds; every cycle is stored once",
    teeth="common/heartbeat.py: in _due, wall_ms - last_ms >= INTERVAL_MS",
)
def test_the_clock_is_set_while_all_stages_run(tmp_path: Path, measured: Measured) -> None:
    clock = WallClock(tmp_path)
    little = {"BATCH_WRITE_INTERVAL": "0.5", "TIMEFRAMES": "1m", "MAX_BARS_CACHE": "1000"}
    with clock.inherited():
        pipeline = Pipeline(tmp_path / "run", ("EURUSD", "XAUUSD"), **little, **clock.environment)
    with pipeline:
        pipeline.start_simulator("--speed", "1", "--seed", "3")
        pipeline.start()
        wait_until(lambda: is_warm(pipeline), 90, "a healthy pipeline with its indicators ready")
        for name, off_s in (("back", -HOUR_S), ("forward", HOUR_S)):
            began_s = time.monotonic()
            clock.set_by(off_s)
            wait_until(lambda: pipeline.health() == "unhealthy", 10, "health to notice that the clock is another")
            wait_until(lambda: pipeline.health() == "healthy", 60, f"health after the clock was set {name}")
            measured(**{f"healthy_after_{name}_s": time.monotonic() - began_s})
        pipeline.kill("simulator")
        wait_until(pipeline.settled, 30, "everything to be stored")
        stored = [cycle for (cycle,) in pipeline.rows("SELECT cycle FROM clocks ORDER BY cycle")]
        assert stored == list(range(1, len(stored) + 1))
        assert not pipeline.client().keys("*dead*")
    measured(lost=0, doubled=0)


def weekend_clock(folder: Path) -> tuple[WallClock, int]:
    """Return a clock and by how many seconds it must be off to show a Saturday noon, when no vendor is asked."""
    now = datetime.now(UTC)
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0)
    return WallClock(folder), round((noon - now).total_seconds()) + 86_400 * ((5 - now.weekday()) % 7)


@fault(
    "F17",
    row="the wall clock of a live collector set back an hour, then forward by two",
    promise="a cycle every second all the same; the stream's time never goes back, and the log says that it waits",
    teeth="collector/times.py: in now_ms, self._newest_ms = wall_ms",
)
def test_the_clock_of_a_live_collector_is_set(tmp_path: Path, measured: Measured) -> None:
    clock, saturday_s = weekend_clock(tmp_path)
    clock.set_by(saturday_s)
    with Pipeline(tmp_path / "run", ("EURUSD",), **clock.environment) as pipeline:
        for name in ("SIMULATOR_URL", "ALPHAVANTAGE_API_KEY", "TWELVEDATA_API_KEY", "POLYGON_API_KEY"):
            del pipeline.environment[name]
        pipeline.environment |= {"NETWORK_CHECK": "off"}
        pipeline.start("collector")
        wait_until(lambda: pipeline.cycle() >= 3, 30, "the first cycles")
        for name, off_s in (("back", saturday_s - HOUR_S), ("forward", saturday_s + HOUR_S)):
            clock.set_by(off_s)
            measured(**{f"cycles_after_{name}_s": seconds_to_next_cycle(pipeline, 30)})
        seen = clocks(pipeline)
        assert "clock.set_back" in pipeline.log("collector")
    assert [one.cycle for one in seen] == list(range(1, len(seen) + 1))
    assert [one.now_ms for one in seen] == sorted(one.now_ms for one in seen)
    walls = [one.wall_ms for one in seen]
    assert min(b - a for a, b in pairwise(walls)) < -HOUR_S * 900, "the clock was never set back"


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


NIGHTS = {
    # The last hours before the weekend's close, and the first after its opening at 17:00 in New York.
    "spring": (ms("2026-03-06T19:00:00Z"), ms("2026-03-06T22:00:00Z"), ms("2026-03-08T21:00:00Z")),
    "autumn": (ms("2026-10-30T18:00:00Z"), ms("2026-10-30T21:00:00Z"), ms("2026-11-01T22:00:00Z")),
}
AFTER_H = 3
STEP_MINUTES = 15
INTERVAL_MS = 225_000  # a bar's four ticks


def make_weekend(target: Path, night: tuple[int, int, int]) -> None:
    """Write 15-minute bars up to the close and from the opening on, by the minute in which they open in UTC."""
    first_ms, close_ms, open_ms = night
    rng, steps = random.Random(first_ms), 113_250
    opens = [*range(first_ms, close_ms, STEP_MINUTES * MINUTE_MS)]
    opens += range(open_ms, open_ms + AFTER_H * HOUR_S * 1000, STEP_MINUTES * MINUTE_MS)
    with target.open("w") as out:
        out.write("timestamp,open,high,low,close,volume\n")
        for at_ms in opens:
            walk = [steps := steps + rng.randint(-9, 9) for _ in range(4)]
            prices = (walk[0], max(walk), min(walk), walk[3])
            out.write(f"{at_ms // 1000},{','.join(f'{p / 100_000:.5f}' for p in prices)},\n")


@pytest.mark.parametrize("season", NIGHTS)
@fault(
    "F17",
    row="a replay across the nights in which daylight saving begins and ends, with TZ=America/New_York",
    promise="bars stand at their UTC minutes; the first quote after the weekend is taken as the session opens",
    teeth="common/sessions/exchanges.py: NEW_YORK = timezone(timedelta(hours=-5))",
)
def test_daylight_saving_moves_no_bar(tmp_path: Path, season: str, measured: Measured) -> None:
    data = tmp_path / "bars"
    data.mkdir()
    make_weekend(data / "EURUSD_M15.csv", NIGHTS[season])
    zone = {"TZ": "America/New_York"}
    with Pipeline(tmp_path, ("EURUSD",), BATCH_WRITE_INTERVAL="0.5", TIMEFRAMES="15m,1h", **zone) as pipeline:
        pipeline.start_simulator("--data", str(data), "--speed", "0", "--interval", str(INTERVAL_MS // 1000))
        pipeline.start()
        wait_until_done(pipeline, 120)
        source = bars_data.read(data / "EURUSD_M15.csv")
        columns = "open_ms, open, high, low, close"
        stored = pipeline.rows(f"SELECT {columns} FROM bars WHERE timeframe = '15m' ORDER BY open_ms")
        (opened,) = pipeline.rows(f"SELECT min(market_ms) FROM market_data WHERE market_ms >= {NIGHTS[season][2]}")[0]
        assert pipeline.rows("SELECT count(*) FROM rejects") == [(0,)]
    assert stored == [(bar.open_ms, bar.open, bar.high, bar.low, bar.close) for bar in source]
    assert isinstance(opened, int)
    assert opened - NIGHTS[season][2] < INTERVAL_MS
    measured(bars=len(stored))
