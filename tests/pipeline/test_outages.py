"""An outage of everything, a stop of the pipeline, an emptied Redis: found at once, repaired, and no hole is left."""

import sqlite3
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.pipeline import bars_data
from tests.pipeline.bars_data import SourceBar
from tests.pipeline.forked import ForkedPipeline
from tests.pipeline.harness import STAGES, Pipeline
from tests.pipeline.test_replay import (
    DAY_START_MS,
    SYMBOLS,
    WITH_VOLUME,
    check_indicators_equal_talib,
    made_hours,
    recorded_hours,
    stored_bars,
    wait_until_done,
)
from tests.support import wait_until

MINUTE_MS = 60_000
HISTORY_MINUTES = 60  # before the first cycle: vendors have some history at the first start
START = "2022-01-19T00:00:00Z"
START_MS = DAY_START_MS + HISTORY_MINUTES * MINUTE_MS
VENDORS = ("yahoo", "alphavantage", "twelvedata", "polygon")
FOUND_WITHIN_MS = 5_000
MISSING = "SELECT count(*) FROM gaps WHERE state = 'missing'"
WHOLE_HOLES = "timeframe = '1m' AND NOT partial AND state = 'repaired'"
EVERY_STATE = "missing,repaired,no_trade,unrepairable,present,closed,pending,not_watched"
Accident = Callable[[Pipeline, int], None]


def now_ms(pipeline: Pipeline) -> int:
    """Return the stream's time; 0 before its first clock entry."""
    clock = pipeline.clock()
    return clock.now_ms if clock else 0


def symbols_of(pipeline: Pipeline) -> list[str]:
    """Return the symbols of a run."""
    return pipeline.environment["SYMBOLS"].split(",")


# -- accidents ---------------------------------------------------------------------------------------


def outage_of_all_vendors(pipeline: Pipeline, minutes: int) -> None:
    """Have every connection to every vendor reset, for some minutes of the stream's time."""
    began_ms = now_ms(pipeline)
    for vendor in VENDORS:
        pipeline.simulator("/sim/faults", {"vendor": vendor, "fault": "outage"})
    wait_until(lambda: now_ms(pipeline) >= began_ms + minutes * MINUTE_MS, 120, "the end of the outage")
    pipeline.simulator("/sim/faults", method="DELETE")


def stop_of_the_pipeline(pipeline: Pipeline, minutes: int) -> None:
    """Kill every stage, have time go by, and start them again."""
    for stage in STAGES:
        pipeline.kill(stage)
    pipeline.simulator(f"/sim/skip?seconds={minutes * 60}", method="POST")
    pipeline.start()


def flush_of_redis(pipeline: Pipeline, minutes: int) -> None:  # an accident
    """Empty Redis."""
    pipeline.client().flushall()


# -- the run -----------------------------------------------------------------------------------------


def play(pipeline: Pipeline, data: Path, accident: Accident, minutes: int, speed: str, interval: str = "15") -> int:
    """Have the accident happen some minutes after the start; return the time at which the ledger is whole again."""
    pipeline.start_simulator("--data", str(data), "--speed", speed, "--interval", interval, "--start", START)
    pipeline.start()
    wait_until(lambda: accounted_ms(pipeline) >= START_MS + 4 * MINUTE_MS, 90, "a first whole ledger")
    accident(pipeline, minutes)
    resumed_ms = now_ms(pipeline)
    wait_until(lambda: accounted_ms(pipeline) >= resumed_ms + 3 * MINUTE_MS, 90, "a ledger without holes")
    return accounted_ms(pipeline)


def accounted_ms(pipeline: Pipeline) -> int:
    """Return up to when no bar is missing; 0 while one is, or nobody can say."""
    lanes = "timeframe = '1m' AND source_class NOT LIKE 'terminal%'"
    query = f"SELECT min(checked_ms), ({MISSING}), count(*) FROM gap_checks WHERE {lanes}"
    try:
        ((checked_ms, missing, count),) = pipeline.rows(query)
    except sqlite3.OperationalError:  # not made yet
        return 0
    return 0 if missing or count != len(symbols_of(pipeline)) else int(str(checked_ms))


def returns(pipeline: Pipeline) -> dict[str, int]:
    """Return when data of each symbol came again after the longest silence, in stream time."""
    found = {}
    for symbol in symbols_of(pipeline):
        query = f"SELECT DISTINCT received_ms FROM market_data WHERE symbol = '{symbol}' ORDER BY 1"
        times = [int(str(at)) for (at,) in pipeline.rows(query)]
        found[symbol] = max(pairwise(times), key=lambda pair: pair[1] - pair[0])[1]
    return found


# -- what must be true -------------------------------------------------------------------------------


def check_bars_equal_the_source(pipeline: Pipeline, data: Path, until_ms: int) -> None:
    """Times and OHLC of all 1-minute bars up to a time, and the volume where the vendor's format carries one."""
    for symbol in symbols_of(pipeline):
        source = [b for b in bars_data.read(data / f"{symbol}_M1.csv") if b.open_ms < until_ms]
        stored = [b for b in stored_bars(pipeline, symbol) if b.open_ms < until_ms]
        if symbol not in WITH_VOLUME:
            source = [SourceBar(b.open_ms, b.open, b.high, b.low, b.close, 0.0) for b in source]
        assert stored == source, symbol


def check_longer_bars_hold_the_minutes(pipeline: Pipeline, data: Path, until_ms: int) -> None:
    """Every stored 5-minute, 15-minute and hourly bar is what its minutes in the source make of it."""
    for symbol in symbols_of(pipeline):
        minutes = bars_data.read(data / f"{symbol}_M1.csv")
        for timeframe, length_ms in (("5m", 300_000), ("15m", 900_000), ("1h", 3_600_000)):
            query = (
                f"SELECT open_ms, open, high, low, close FROM bars WHERE symbol='{symbol}' AND timeframe='{timeframe}'"
            )
            stored = {row[0]: row[1:] for row in pipeline.rows(f"{query} AND open_ms + {length_ms} <= {until_ms}")}
            for open_ms, prices in stored.items():
                part = [b for b in minutes if int(str(open_ms)) <= b.open_ms < int(str(open_ms)) + length_ms]
                expected = (part[0].open, max(b.high for b in part), min(b.low for b in part), part[-1].close)
                assert prices == expected, (symbol, timeframe, open_ms)
            assert len(stored) >= (until_ms - START_MS) // length_ms - 1, (symbol, timeframe)


def check_every_bar_is_accounted_for(pipeline: Pipeline, until_ms: int) -> None:
    """The api tells every minute without a seam, and none of them is missing."""
    for symbol in symbols_of(pipeline):
        asked = f"symbol={symbol}&timeframe=1m&limit=1000&from={START_MS + MINUTE_MS}&to={until_ms}"
        reply = pipeline.get(f"/api/gaps?{asked}&state={quote(EVERY_STATE)}")
        intervals = reply["gaps"]
        assert isinstance(intervals, list)
        ends = [START_MS + MINUTE_MS, *(one["to_ms"] for one in intervals)]
        assert [one["from_ms"] for one in intervals] == ends[:-1]
        assert {one["state"] for one in intervals} <= {"present", "repaired", "no_trade", "not_watched"}


def check_found_at_once(pipeline: Pipeline) -> None:
    """Whatever was missing when data came again was on record five seconds later; and print how long repair took."""
    for symbol, returned_ms in returns(pipeline).items():
        query = f"SELECT found_ms, closed_ms, bars FROM gaps WHERE symbol = '{symbol}' AND {WHOLE_HOLES}"
        rows = pipeline.rows(f"{query} AND to_ms <= {returned_ms} ORDER BY bars DESC LIMIT 1")
        found_ms, closed_ms, bars = (int(str(value)) for value in rows[0])
        assert found_ms <= returned_ms + FOUND_WITHIN_MS, symbol
        found_s, closed_s = (found_ms - returned_ms) / 1000, (closed_ms - returned_ms) / 1000
        print(f"{symbol}: {bars} bars, on record {found_s} s and repaired {closed_s} s after the data's return")


def check_all(pipeline: Pipeline, data: Path, until_ms: int) -> None:
    """Every claim about a run with an accident."""
    check_bars_equal_the_source(pipeline, data, until_ms)
    check_longer_bars_hold_the_minutes(pipeline, data, until_ms)
    check_every_bar_is_accounted_for(pipeline, until_ms)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the replay's bar files."""
    folder = tmp_path / "bars"
    folder.mkdir()
    return folder


def test_an_outage_of_all_vendors_leaves_no_hole(tmp_path: Path, data: Path) -> None:
    made_hours(data, 6)
    with ForkedPipeline(tmp_path, ("US500", "EURUSD")) as pipeline:
        until_ms = play(pipeline, data, outage_of_all_vendors, 6, "300")
        check_found_at_once(pipeline)
        check_all(pipeline, data, until_ms)


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("accident", [outage_of_all_vendors, stop_of_the_pipeline, flush_of_redis])
def test_after_half_an_hour_of_recorded_prices_bars_and_indicators_are_as_if_nothing_had_been(
    shared: Path, tmp_path: Path, data: Path, accident: Accident
) -> None:
    recorded_hours(shared, data, 3)
    with ForkedPipeline(tmp_path, SYMBOLS) as pipeline:
        play(pipeline, data, accident, 30, "120", interval="5")
        if accident is not flush_of_redis:
            check_found_at_once(pipeline)
        wait_until_done(pipeline, 120)
        wait_until(lambda: accounted_ms(pipeline) >= now_ms(pipeline) - 2 * MINUTE_MS, 30, "a whole ledger at the end")
        check_all(pipeline, data, now_ms(pipeline) - MINUTE_MS)
        check_indicators_equal_talib(pipeline, data)


@pytest.mark.long
def test_after_a_stop_the_hole_is_on_record_within_five_seconds_of_real_time(
    shared: Path, tmp_path: Path, data: Path
) -> None:
    recorded_hours(shared, data, 3)
    with ForkedPipeline(tmp_path, SYMBOLS) as pipeline:
        pipeline.start_simulator("--data", str(data), "--speed", "1", "--start", START)
        pipeline.start()
        wait_until(lambda: now_ms(pipeline) >= START_MS + 15_000, 60, "a quarter of a minute of prices")
        wait_until(pipeline.settled, 30, "all of it to be stored")
        before_ms = now_ms(pipeline)
        stop_of_the_pipeline(pipeline, 30)
        wait_until(lambda: now_ms(pipeline) > before_ms, 30, "data again")
        resumed_s = time.monotonic()
        holes = "SELECT count(*) FROM gaps WHERE timeframe = '1m' AND NOT partial AND bars >= 28 AND state"
        wait_until(lambda: pipeline.rows(f"{holes} <> ''") == [(4,)], 5, "the holes on record")
        print(f"on record {time.monotonic() - resumed_s:.2f} s after the first clock entry, in real time")
        wait_until(lambda: pipeline.rows(f"{holes} = 'repaired'") == [(4,)], 60, "the holes to be repaired")
        print(f"repaired after {time.monotonic() - resumed_s:.2f} s")
