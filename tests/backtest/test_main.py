"""The command: files in, report and page out."""

import gzip
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import backtest.__main__ as command
from backtest.__main__ import INVALID, TESTED, UNDONE, main
from backtest.history import FileBar, read_history
from backtest.page import page
from common.errors import Fatal
from tests.backtest.made import MINUTE, settings, walk

HEADER = "timestamp,open,high,low,close,volume\n"


def written(folder: Path, bars: Sequence[FileBar], name: str = "EURUSD_M1_made.csv.gz") -> Path:
    rows = "".join(f"{b.open_ms // 1000},{b.open},{b.high},{b.low},{b.close},{b.volume}\n" for b in bars)
    path = folder / name
    path.write_bytes(gzip.compress((HEADER + rows).encode()))
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "load_settings", settings)


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    bars = walk(1, 10)
    found = read_history(written(tmp_path, bars))

    assert (found.name, found.symbol, found.length_ms) == ("EURUSD_M1_made.csv.gz", "EURUSD", MINUTE)
    assert found.bars == bars


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("time,open\n", "line 1: expected timestamp,open,high,low,close,volume"),
        (HEADER + "60,1,1,1,x,\n", "line 2: expected numbers"),
        (HEADER + "60,1,1,1,1,\n60,1,1,1,1,\n", "line 3: expected a later bar"),
        (HEADER + "60,1,1,1,2,\n", "line 2: expected a later bar with low <= open, close <= high"),
        (HEADER + "60,nan,1,1,1,\n", "line 2: expected a later bar"),
        (HEADER + "60,1,1,1,1,\n", "expected bars, found 1"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "EURUSD.csv"
    path.write_text(text)

    with pytest.raises(Fatal, match=re.escape(why)):
        read_history(path)


@pytest.mark.long
def test_a_walk_without_memory_has_no_edge_and_the_report_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, html = written(tmp_path, walk(5, 3_000)), tmp_path / "report.html"

    assert main(["--spread", "2", "--slippage", "1", "--html", str(html), str(file)]) == TESTED

    said = capsys.readouterr().out
    assert "EURUSD  EURUSD_M1_made.csv.gz: 3000 bars, 2022-01-17 to 2022-01-19" in said
    assert "spread 0.000020, slippage 0.000010 a fill" in said
    assert "0 of 6 combinations of strategy and history show an edge" in said
    assert "NO STRATEGY HAS AN EDGE ON THIS DATA." in said
    assert "INVALID" not in said
    text = html.read_text()
    assert text.count("<polyline") >= 2
    assert re.search(r"https?:|src=|href=|<script|@import|url\(", text) is None  # it needs nothing from elsewhere


def test_what_looks_ahead_is_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "peeks", lambda *_: ["EURUSD|1m|x|0"])

    assert main([str(written(tmp_path, walk(5, 50)))]) == INVALID
    assert "INVALID: 1 signals rest on what came after them, such as EURUSD|1m|x|0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "FILES: expected at least one file of bars"),
        (["--spread", "-1", "FILE"], "SPREAD: expected 0 or more ticks, found -1"),
        (["--spread", "tight", "FILE"], "SPREAD: expected a number such as 10, found 'tight'"),
        (["--splits", "0", "FILE"], "SPLITS: expected 1 to 100, found 0"),
        (["--walk", "101", "FILE"], "WALK: expected 0 to 100, found 101"),
        (["nowhere.csv"], "FILES: nowhere.csv: No such file or directory\n"),
    ],
)
def test_what_cannot_be_done_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    file = str(written(tmp_path, walk(1, 10)))

    assert main([file if one == "FILE" else one for one in arguments]) == UNDONE
    assert why in capsys.readouterr().err


def test_bars_that_fit_no_timeframe_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars = [bar._replace(open_ms=bar.open_ms * 7) for bar in walk(1, 10)]

    assert main([str(written(tmp_path, bars))]) == UNDONE
    assert "expected bars that divide one of 1m, 5m" in capsys.readouterr().err


def test_the_page_takes_the_width_of_the_window() -> None:
    empty = page([])
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in empty
    assert "svg{display:block;max-width:100%;height:auto;" in empty
