"""Vendors' history at the border."""

import random

import pytest

from common import keys
from common.messages import HistoryBars, RawBar, RawBars, Reject, Rejects
from common.stage import Entry
from tests.validator.support import T0, history, messages, validator

MINUTE = 60_000


def made_bars(n: int, level: float = 20_000.0) -> list[RawBar]:
    """Return closed bars of a made walk, the last one just before T0."""
    dice = random.Random(3)
    bars = []
    for i in range(n):
        close = level * (1 + dice.gauss(0, 2e-4))
        bars.append(RawBar(T0 - (n - i) * MINUTE, level, max(level, close) + 1, min(level, close) - 1, close, float(i)))
        level = close
    return bars


def judge(bars: list[RawBar], symbol: str = "NAS100", source: str = "yahoo") -> tuple[HistoryBars, list[Reject]]:
    found = messages(validator().handle((history(bars, symbol, source),)))
    passed = found[0]
    assert isinstance(passed, HistoryBars)
    rejected = [reject for message in found[1:] if isinstance(message, Rejects) for reject in message.rejects]
    return passed, rejected


def changed(bar: RawBar, **fields: float | str | None) -> RawBar:
    values = {name: getattr(bar, name) for name in bar.__struct_fields__}
    return RawBar(**{**values, **fields})


def test_good_history_passes_whole_and_is_labelled() -> None:
    bars = made_bars(50)
    passed, rejected = judge(bars)
    assert rejected == []
    assert [(b.open_ms, b.open, b.high, b.low, b.close, b.volume) for b in passed.bars] == [
        (b.open_ms, b.open, b.high, b.low, b.close, b.volume) for b in bars
    ]
    labels = {
        (b.symbol, b.source, b.source_class, b.timeframe, b.origin, b.final, b.ticks, b.volume_kind)
        for b in passed.bars
    }
    assert labels == {("NAS100", "yahoo", "cme_nq_future", "1m", "vendor", True, 0, "traded")}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"high": 19_000.0}, "ohlc_order"),
        ({"low": 21_000.0}, "ohlc_order"),
        ({"close": 25_000.0}, "ohlc_order"),
        ({"close": "NaN"}, "not_a_number"),
        ({"open": None}, "not_a_number"),
        ({"low": 0.0}, "not_positive"),
        ({"volume": -1.0}, "bad_volume"),
        ({"volume": "x"}, "not_a_number"),
        ({"high": 200_000.0}, "spike"),
        ({"low": 18_000.0}, "spike"),
        ({"open_ms": T0 - 21 * MINUTE}, "out_of_order"),
        ({"open_ms": T0 - 20 * MINUTE + 1}, "misaligned"),
        ({"open_ms": 0}, "bad_time"),
    ],
)
def test_bad_bar_alone_is_quarantined(change: dict[str, float | str | None], reason: str) -> None:
    bars = made_bars(50)
    bars[30] = changed(bars[30], **change)
    passed, rejected = judge(bars)
    assert [(r.reason, r.raw_index, r.raw_bar, r.timeframe, r.raw_id) for r in rejected] == [
        (reason, 30, bars[30], "1m", "5-0")
    ]
    assert len(passed.bars) == 49
    assert rejected[0].detail


def test_bar_that_has_not_closed_is_quarantined() -> None:
    bars = [*made_bars(5), RawBar(T0, 20_000.0, 20_001.0, 19_999.0, 20_000.0)]
    passed, rejected = judge(bars)
    assert [(r.reason, r.raw_index) for r in rejected] == [("future", 5)]
    assert len(passed.bars) == 5


SUNDAY_OPEN = T0 - 15 * 60 * MINUTE
"""18:00 on Sunday 2026-01-04 in New York: the futures' week begins."""


def test_bars_of_closed_hours_are_quarantined() -> None:
    """A vendor makes bars of the few quotes that banks test with at the weekend; their prices are no market's."""
    times = [SUNDAY_OPEN + n * MINUTE for n in (-40 * 60, -2, -1, 0, 1)]
    passed, rejected = judge([RawBar(at_ms, 20_000.0, 20_001.0, 19_999.0, 20_000.0) for at_ms in times])
    assert [(r.reason, r.raw_index) for r in rejected] == [("closed", 0), ("closed", 1), ("closed", 2)]
    assert rejected[2].detail == "session cme is closed; opens 2026-01-04T23:00Z"
    assert [b.open_ms for b in passed.bars] == times[3:]


def test_a_bar_that_a_session_begins_in_is_good() -> None:
    times = [T0 - 60 * MINUTE, T0]  # 09:30 in New York lies within the second
    bars = tuple(RawBar(at_ms, 20_000.0, 20_001.0, 19_999.0, 20_000.0) for at_ms in times)
    raw = RawBars("r1", "yahoo", "ndx_cash", "NAS100", "1h", T0 + 60 * MINUTE, "none", bars)
    passed, rejects = messages(validator().handle((Entry(keys.RAW, "5-0", raw),)))
    assert isinstance(passed, HistoryBars)
    assert isinstance(rejects, Rejects)
    assert [b.open_ms for b in passed.bars] == times[1:]
    assert [(r.reason, r.raw_index) for r in rejects.rejects] == [("closed", 0)]


def test_whole_bar_of_another_scale_is_a_spike() -> None:
    bars = made_bars(20)
    bars[9] = RawBar(bars[9].open_ms, 2_000.0, 2_001.0, 1_999.0, 2_000.0)
    passed, rejected = judge(bars)
    assert [(r.reason, r.raw_index) for r in rejected] == [("spike", 9)]
    assert len(passed.bars) == 19


def test_rejects_keep_the_order_of_the_answer() -> None:
    bars = made_bars(20)
    bars[5] = changed(bars[5], low=1.0)
    bars[9] = changed(bars[9], close="NaN")
    assert [(r.reason, r.raw_index) for r in judge(bars)[1]] == [("spike", 5), ("not_a_number", 9)]


def test_real_change_of_level_is_no_spike() -> None:
    before, after = made_bars(40)[:20], made_bars(40, 22_000.0)[20:]
    passed, rejected = judge([*before, *after])
    assert rejected == []
    assert len(passed.bars) == 40


def test_absent_volume_is_zero() -> None:
    bars = [changed(bar, volume=None) for bar in made_bars(3)]
    assert [bar.volume for bar in judge(bars)[0].bars] == [0.0, 0.0, 0.0]


def test_empty_answer_passes_on_as_an_empty_history() -> None:
    passed, rejected = judge([])
    assert rejected == []
    origin = ("5-0", "yahoo", passed.received_ms)
    assert passed == HistoryBars("r1", "NAS100", "1m", "cme_nq_future", (), True, "", *origin)


def test_history_of_an_unknown_symbol_or_listing_is_quarantined_and_the_answer_still_comes() -> None:
    bars = made_bars(2)
    for symbol, source, reason in (("DOGE", "yahoo", "unknown_symbol"), ("NAS100", "polygon", "unknown_listing")):
        passed, rejected = judge(bars, symbol, source)
        assert passed.bars == ()
        assert passed.final
        assert [r.reason for r in rejected] == [reason] * 2
