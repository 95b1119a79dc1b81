"""Prices that are made: the same for the same seed, whatever is asked and in whatever order."""

import time
from itertools import pairwise

import numpy as np
import pytest

from simulator.instruments import Instrument
from simulator.market import Market
from simulator.ticks import Bars, Snapshot, coarsen
from tests.simulator.kit import START_MS, made

DAY_MS = 86_400_000


def listed(market: Market, vendor: str, symbol: str) -> Instrument:
    return market.listings[vendor][symbol]


def snapshot(market: Market, cycle: int, symbol: str = "EURUSD=X", vendor: str = "yahoo") -> Snapshot:
    found = market.view(cycle).snapshot(listed(market, vendor, symbol))
    assert found is not None
    return found


def columns(bars: Bars) -> list[list[float]]:
    return [np.asarray(getattr(bars, name)).tolist() for name in Bars.__dataclass_fields__]


ALL = ("EURUSD=X", "GBPUSD=X", "GC=F", "NQ=F", "YM=F", "ES=F", "^NDX", "^DJI", "^GSPC")


def test_the_same_seed_gives_the_same_ticks_in_any_order() -> None:
    forward, backward = made(seed=7), made(seed=7)
    cycles = [1, 2, 500, 40_000, 90_000]
    first = [snapshot(forward, cycle, symbol) for cycle in cycles for symbol in ALL]
    second = [snapshot(backward, cycle, symbol) for cycle in cycles[::-1] for symbol in ALL[::-1]]
    assert first == second[::-1]
    assert snapshot(made(seed=8), 500) != snapshot(forward, 500)


@pytest.mark.parametrize("interval_ms", [250, 1000, 1500, 5000, 3_600_000])
def test_tick_numbers_rise_by_one_and_none_is_overtaken_unseen(interval_ms: int) -> None:
    market = made(interval_ms=interval_ms)
    for symbol in ALL:
        seen = [snapshot(market, cycle, symbol) for cycle in range(400)]
        numbers = [one.number for one in seen]
        assert numbers[0] == 0
        assert {after - before for before, after in pairwise(numbers)} == {0, 1}
        for cycle, one in enumerate(seen):
            assert one.market_ms <= START_MS + cycle * interval_ms


def test_tick_numbers_go_on_over_closed_hours() -> None:
    market = made()
    close = (20 * 3600 - (14 * 3600 + 1800)) * 1  # cash closes at 20:00 UTC
    before, later = snapshot(market, close, "^NDX"), snapshot(market, close + 5 * 3600, "^NDX")
    assert later == before
    opens = 23 * 3600  # 13:30 UTC on the next day
    numbers = [snapshot(market, cycle, "^NDX").number for cycle in range(opens - 3, opens + 40)]
    assert numbers[0] == before.number
    assert {b - a for a, b in pairwise(numbers)} == {0, 1}
    assert numbers[-1] > before.number


def test_classes_of_one_symbol_differ_in_price() -> None:
    market = made()
    gold = snapshot(market, 60, "GC=F").price - snapshot(market, 60, "XAU/USD", "twelvedata").price
    nasdaq = snapshot(market, 60, "NQ=F").price / snapshot(market, 60, "^NDX").price
    assert 57.8 < gold < 58.2
    assert 1.0075 < nasdaq < 1.0085


def test_prices_are_near_what_markets_quote() -> None:
    market = made()
    levels = {"EURUSD=X": 1.085, "GBPUSD=X": 1.27, "GC=F": 2708, "^NDX": 21_000, "^DJI": 43_000, "^GSPC": 5_900}
    for symbol, level in levels.items():
        for cycle in (1, 20 * 86_400):
            assert snapshot(market, cycle, symbol).price == pytest.approx(level, rel=0.2)


def test_future_prices_stand_on_the_exchanges_grid() -> None:
    market = made()
    for cycle in range(1, 200):
        assert snapshot(market, cycle, "NQ=F").price % 0.25 == 0
        assert snapshot(market, cycle, "YM=F").price % 1 == 0


def test_wider_bars_are_made_of_the_minutes() -> None:
    market = made()
    instrument = listed(market, "yahoo", "ES=F")
    view = market.view(1234)
    for width_ms in (300_000, 900_000, 3_600_000):
        span = (START_MS - 7 * DAY_MS - 1_800_000, START_MS + DAY_MS)  # from a full hour on
        wide = view.bars(instrument, width_ms, *span)
        minutes = view.bars(instrument, 60_000, *span)
        assert columns(wide) == columns(coarsen(minutes, width_ms))


def test_bars_are_what_the_ticks_were() -> None:
    market = made()
    instrument = listed(market, "yahoo", "GC=F")
    told: dict[int, Snapshot] = {}
    for cycle in range(1, 241):
        one = snapshot(market, cycle, "GC=F")
        told[one.number] = one
    bars = market.view(240).bars(instrument, 60_000, START_MS + 60_000, START_MS + 180_000)
    for place, opened in enumerate(bars.open_ms.tolist()):
        inside = [one for one in told.values() if opened <= one.market_ms < opened + 60_000]
        prices = [one.price for one in inside]
        assert [bars.open[place], bars.high[place], bars.low[place], bars.close[place]] == [
            prices[0], max(prices), min(prices), prices[-1],
        ]  # fmt: skip
        assert bars.volume[place] == sum(one.volume for one in inside)
    assert len(bars) == 2


def test_the_days_figures_are_those_of_its_ticks() -> None:
    market = made()
    before, now = snapshot(market, 100, "GC=F"), snapshot(market, 160, "GC=F")
    between = [snapshot(market, cycle, "GC=F") for cycle in range(101, 161)]
    fresh = {one.number: one for one in between}.values()
    assert now.day_volume - before.day_volume == sum(one.volume for one in fresh)
    assert now.day_high == max(before.day_high, *(one.price for one in fresh))
    assert now.day_low == min(before.day_low, *(one.price for one in fresh))


@pytest.mark.parametrize("days_later", [0, 1, 6])
def test_the_previous_close_is_the_last_bar_of_the_session_before(days_later: int) -> None:
    market = made()
    cycle = days_later * 86_400 + 1
    for symbol in ("EURUSD=X", "NQ=F", "^DJI"):
        instrument = listed(market, "yahoo", symbol)
        now = market.view(cycle).now_ms
        bars = market.view(cycle).bars(instrument, 60_000, now - 5 * DAY_MS, now)
        gaps = np.flatnonzero(np.diff(bars.open_ms) > 3_000_000)
        if symbol == "EURUSD=X":  # its days follow each other without a gap: New York's 17:00 is 21:00 UTC in June
            gaps = np.flatnonzero(bars.open_ms % DAY_MS == 21 * 3_600_000) - 1
        assert snapshot(market, cycle, symbol).previous_close == bars.close[gaps[-1]]


def test_history_is_deep_enough_to_warm_up() -> None:
    view = made().view(1)
    instrument = listed(made(), "yahoo", "NQ=F")
    for width_ms, days in ((60_000, 8), (300_000, 29), (900_000, 90), (3_600_000, 330)):
        bars = view.bars(instrument, width_ms, START_MS - days * DAY_MS, START_MS)
        assert len(bars) >= 5000
        assert (bars.high >= np.maximum(bars.open, bars.close)).all()
        assert (bars.low <= np.minimum(bars.open, bars.close)).all()
        assert (np.diff(bars.open_ms) > 0).all()


def test_nothing_of_the_future_is_told() -> None:
    market = made()
    instrument = listed(market, "yahoo", "NQ=F")
    bars = market.view(10).bars(instrument, 60_000, START_MS - 600_000, START_MS + DAY_MS)
    last = snapshot(market, 10, "NQ=F")
    assert bars.open_ms[-1] <= last.market_ms
    assert bars.close[-1] == last.price


def test_a_late_vendor_tells_what_was_ten_minutes_ago() -> None:
    on_time, late = made(real=False), made(real=True)
    assert snapshot(late, 900, "NQ=F") == snapshot(on_time, 300, "NQ=F")
    assert snapshot(late, 900, "EURUSD=X") == snapshot(on_time, 900, "EURUSD=X")


def test_a_far_cycle_is_found_at_once_and_a_chart_is_quick() -> None:
    market = made()
    begin = time.process_time()
    for symbol in ALL:
        snapshot(market, 50_000, symbol)
    assert time.process_time() - begin < 2.0
    instrument = listed(market, "yahoo", "NQ=F")
    view = market.view(50_000)
    view.bars(instrument, 60_000, view.now_ms - 8 * DAY_MS, view.now_ms)
    begin = time.process_time()
    view.bars(instrument, 60_000, view.now_ms - 8 * DAY_MS, view.now_ms)
    assert time.process_time() - begin < 0.2


def crossings(close: np.ndarray) -> int:
    def ema(period: int) -> np.ndarray:
        out, weight = [float(close[0])], 2 / (period + 1)
        for price in close[1:]:
            out.append(out[-1] + weight * (float(price) - out[-1]))
        return np.array(out)

    side = np.sign(ema(9) - ema(20))[-11:]
    return int((np.diff(side) != 0).sum())


def test_averages_of_minute_bars_cross_several_times_in_ten_minutes_over_six_symbols() -> None:
    market = made()
    view = market.view(601)
    total = 0
    for symbol in ALL[:6]:
        bars = view.bars(listed(market, "yahoo", symbol), 60_000, START_MS - DAY_MS, START_MS + 600_000)
        total += crossings(bars.close)
    assert total >= 3
