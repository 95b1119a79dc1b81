import gzip
from pathlib import Path

import numpy as np
import pytest

from common.errors import Fatal
from simulator.csv_source import BAR_HEADER, QUOTE_HEADER, combine, day_starts, day_volumes, find_files, read, symbol_of
from simulator.spelling import java_float, plain
from tests.simulator.kit import replay, write


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("EURUSD_M1_2022-01.csv.gz", "EURUSD"), ("EURUSD.csv", "EURUSD"), ("quotes_XAUUSD_2014-05-02.csv.gz", "XAUUSD"),
    ],
)  # fmt: skip
def test_the_symbol_stands_in_the_files_name(name: str, symbol: str) -> None:
    assert symbol_of(Path(name)) == symbol


def test_a_bar_becomes_four_ticks_with_its_volume_on_the_last_three(tmp_path: Path) -> None:
    file = write(tmp_path, "EURUSD_M1.csv", BAR_HEADER, "60,1.1,1.4,1.0,1.2,8", "120,1.2,1.3,1.1,1.25,1")
    found = read(file)
    assert found.market_ms.tolist() == [60_000, 75_000, 90_000, 105_000, 120_000, 135_000, 150_000, 165_000]
    assert found.price.tolist() == [1.1, 1.4, 1.0, 1.2, 1.2, 1.3, 1.1, 1.25]
    assert found.volume.tolist() == [0, 2, 2, 4, 0, 0, 0, 1]
    assert found.end_ms == 180_000


def test_the_bars_length_is_the_smallest_distance(tmp_path: Path) -> None:
    file = write(tmp_path, "X_M5.csv", BAR_HEADER, "0,1,1,1,1,", "600,1,1,1,1,", "900,1,1,1,1,")
    assert read(file).market_ms[1] == 75_000


def test_quotes_are_read_with_equal_milliseconds_in_order(tmp_path: Path) -> None:
    file = write(tmp_path, "quotes_EURUSD_x.csv", QUOTE_HEADER, "5,1.10000,1.10012", "5,1.10001,1.10013")
    found = read(file)
    assert found.bid is not None
    assert found.ask is not None
    assert (found.market_ms.tolist(), found.bid.tolist(), found.ask.tolist()) == (
        [5, 5],
        [1.1, 1.10001],
        [1.10012, 1.10013],
    )


def test_compressed_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "EURUSD_M1.csv.gz"
    file.write_bytes(gzip.compress(f"{BAR_HEADER}\n60,1,2,1,2,3\n".encode()))
    assert read(file).price.tolist() == [1, 2, 1, 2]


@pytest.mark.parametrize(
    ("header", "rows", "where"),
    [
        (
            "time,open",
            [],
            "line 1: expected 'timestamp,open,high,low,close,volume' or 'timestamp_ms,bid,ask', found 'time,open'",
        ),
        (BAR_HEADER, [], "line 2: expected a row"),
        (BAR_HEADER, ["60,1,1,1,1,1", "120,1,1,1,1"], "line 3"),
        (BAR_HEADER, ["60,1,1,1,1,1", "120,1,1,x,1,1"], "line 3"),
        (BAR_HEADER, ["60,1,1,1,-1,1"], "line 2.*prices above 0"),
        (BAR_HEADER, ["60,1,1,1,nan,1"], "line 2"),
        (BAR_HEADER, ["60,1,1,1,inf,1"], "line 2"),
        (BAR_HEADER, ["60,1,1,1,1,-2"], "line 2.*volume"),
        (
            BAR_HEADER,
            ["60,1,1,1,1,1", "60,1,1,1,1,1"],
            "line 3: expected a timestamp later than the one before, found '60,1",
        ),
        (BAR_HEADER, ["60,1,1,1,1,1", "120,2,1,1,1,1"], "line 3: expected low <= open, close <= high"),
        (QUOTE_HEADER, ["5,2,1"], "line 2: expected bid <= ask, found '5,2,1'"),
        (QUOTE_HEADER, ["5,1,2", "4,1,2"], "line 3: expected a timestamp_ms not earlier"),
        (QUOTE_HEADER, ["5,1"], "line 2"),
    ],
)
def test_a_bad_file_is_named_with_line_expectation_and_finding(
    tmp_path: Path, header: str, rows: list[str], where: str
) -> None:
    file = write(tmp_path, "EURUSD_bad.csv", header, *rows)
    with pytest.raises(Fatal, match=where) as error:
        read(file)
    assert str(file) in str(error.value)


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    file = tmp_path / "EURUSD_M1.csv.gz"
    file.write_bytes(b"no gzip")
    with pytest.raises(Fatal, match=r"EURUSD_M1\.csv\.gz: expected a readable CSV file"):
        read(file)


def test_a_path_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="found nothing there"):
        find_files([tmp_path / "none"])
    with pytest.raises(Fatal, match="found none"):
        find_files([tmp_path])


def test_files_that_follow_each_other_are_joined_and_overlaps_refused(tmp_path: Path) -> None:
    first = read(write(tmp_path, "EURUSD_a.csv", BAR_HEADER, "0,1,1,1,1,4", "60,1,1,1,1,4"))
    second = read(write(tmp_path, "EURUSD_b.csv", BAR_HEADER, "120,2,2,2,2,4", "180,2,2,2,2,4"))
    joined = combine([second, first])
    assert joined.price.tolist() == [1] * 8 + [2] * 8
    with pytest.raises(Fatal, match="found an overlap: give one of them"):
        combine([first, first])


def test_the_days_volume_begins_again_after_half_an_hour_of_silence() -> None:
    times = np.array([0, 1000, 1_800_999, 3_600_999, 3_601_000])
    volumes = np.array([1, 2, 3, 4, 5])
    starts = day_starts(times)
    assert starts.tolist() == [0, 3]
    assert day_volumes(volumes, starts).tolist() == [1, 3, 6, 4, 9]


def test_symbols_that_are_not_in_the_table_are_skipped(tmp_path: Path) -> None:
    write(tmp_path, "EURUSD_M1.csv", BAR_HEADER, "60,1,2,1,2,3")
    write(tmp_path, "DOGEUSD_M1.csv", BAR_HEADER, "60,1,2,1,2,3")
    market = replay([tmp_path])
    assert {one.symbol for own in market.listings.values() for one in own.values()} == {"EURUSD"}


def test_no_known_symbol_at_all_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "DOGEUSD_M1.csv", BAR_HEADER, "60,1,2,1,2,3")
    with pytest.raises(Fatal, match="expected files of NAS100, XAUUSD"):
        replay([tmp_path])


def test_prices_of_the_recordings_survive_the_wire(shared: Path) -> None:
    lost: dict[str, int] = {}
    vendor_b = ("EURUSD_M5_2026-01_07_vendorB.csv.gz", "GBPUSD_M5_2026-01_07_vendorB.csv.gz")
    files = [
        file for file in sorted((shared / "market").glob("*.csv.gz")) if "_M5_" in file.name or "US500_" in file.name
    ]
    for file in files:
        prices = np.unique(read(file).price)[::5].tolist()
        assert all(float(plain(price)) == price for price in prices)
        lost[file.name] = sum(float(java_float(price)) != price for price in prices)
    # The closes of these two carry up to nine digits: more than any float32. They are spelled as doubles.
    assert {name for name, count in lost.items() if count} == set(vendor_b)
