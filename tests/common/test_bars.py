"""The packed record of a bar, and the arithmetic of timeframes."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.bars import RECORD, bucket_end_ms, bucket_open_ms, pack, to_bar, to_bars, unpack
from common.errors import Fatal
from common.messages import Bar

prices = st.floats(min_value=1e-9, max_value=1e9)
bars = st.builds(
    Bar,
    symbol=st.just("EURUSD"),
    timeframe=st.just("1m"),
    open_ms=st.integers(0, 2**52),
    open=prices,
    high=prices,
    low=prices,
    close=prices,
    volume=prices,
    volume_kind=st.sampled_from(["traded", "ticks", "none"]),
    ticks=st.integers(0, 2**32 - 1),
    source=st.sampled_from(["yahoo", "alphavantage", "twelvedata", "polygon", ""]),
    source_class=st.just("fx_spot"),
    origin=st.sampled_from(["built", "vendor"]),
    complete=st.booleans(),
)


@given(bars)
def test_a_bar_comes_back_from_its_record_unchanged(bar: Bar) -> None:
    assert to_bar(pack(bar), "EURUSD", "1m", "fx_spot") == bar


@given(st.lists(bars, max_size=5))
def test_records_read_as_an_array_joined_or_one_by_one(given_bars: list[Bar]) -> None:
    records = [pack(bar) for bar in given_bars]

    for array in (unpack(records), unpack(b"".join(records))):
        assert array["open_ms"].tolist() == [bar.open_ms for bar in given_bars]
        assert array["close"].tolist() == [bar.close for bar in given_bars]
        assert [s.decode() for s in array["source"].tolist()] == [bar.source for bar in given_bars]
    assert to_bars(records, "EURUSD", "1m", "fx_spot") == given_bars


def test_the_record_has_the_documented_layout() -> None:
    bar = Bar("X", "1m", 60_000, 1.0, 4.0, 0.5, 2.0, 7.0, "ticks", 9, "yahoo", "c", origin="vendor", complete=False)

    expected = struct.pack("<qdddddIBB18s", 60_000, 1.0, 4.0, 0.5, 2.0, 7.0, 9, 2, 3, b"yahoo")
    assert pack(bar) == expected
    assert RECORD.itemsize == len(expected) == 72


def test_a_source_name_that_does_not_fit_is_refused() -> None:
    bar = Bar("X", "1m", 0, 1.0, 1.0, 1.0, 1.0, 0.0, "none", 1, "a vendor of nineteen", "c")

    with pytest.raises(Fatal, match="at most 18 bytes, found 'a vendor of nineteen'"):
        pack(bar)


@pytest.mark.parametrize(
    ("at_ms", "length_ms", "open_ms", "end_ms"),
    [
        (0, 60_000, 0, 60_000),
        (59_999, 60_000, 0, 60_000),
        (60_000, 60_000, 60_000, 120_000),
        (1_642_374_061_234, 300_000, 1_642_374_000_000, 1_642_374_300_000),
        (-1, 1_000, -1_000, 0),
    ],
)
def test_a_moment_falls_into_the_bar_that_holds_it(at_ms: int, length_ms: int, open_ms: int, end_ms: int) -> None:
    assert bucket_open_ms(at_ms, length_ms) == open_ms
    assert bucket_end_ms(at_ms, length_ms) == end_ms
