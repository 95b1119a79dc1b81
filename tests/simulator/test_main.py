from pathlib import Path

import pytest

from simulator.__main__ import main, market_of, parser
from simulator.csv_source import BAR_HEADER
from tests.simulator.kit import START_MS, write


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--start", "soon"], "expected a time such as 2026-06-10T14:30:00Z, found 'soon'"),
        (["--speed", "-1"], "expected 0 (as fast as it is asked) or more"),
        (["--interval", "0"], "expected 0.001 to 86400 seconds"),
        (["--limits", "some"], "invalid choice"),
    ],
)
def test_a_bad_argument_is_named(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_bad_data_stop_the_start_with_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "EURUSD_M1.csv", BAR_HEADER, "60,1,1,1,1,1", "oops")
    assert main(["--data", str(file)]) == 2
    assert f"{file}, line 3: expected" in capsys.readouterr().err


def test_an_unknown_symbol_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--symbols", "EURUSD,DOGEUSD"]) == 2
    assert "DOGEUSD not in" in capsys.readouterr().err


def test_the_options_make_the_market(tmp_path: Path) -> None:
    made = market_of(parser().parse_args([]))
    assert (made.timeline.at(0).now_ms, made.timeline.last_cycle, made.late) == (START_MS, None, False)
    file = write(tmp_path, "EURUSD_M1.csv", BAR_HEADER, "60,1,1,1,1,1", "120,1,1,1,1,1")
    replayed = market_of(parser().parse_args(["--data", str(file), "--interval", "15", "--limits", "real"]))
    assert (replayed.timeline.at(1).now_ms, replayed.late) == (60_000, True)
    begun = market_of(parser().parse_args(["--data", str(file), "--start", "1970-01-01T00:01:30"]))
    assert begun.timeline.at(0).now_ms == 90_000


def test_data_may_be_named_several_times(tmp_path: Path) -> None:
    files = [write(tmp_path, f"{name}_M1.csv", BAR_HEADER, "60,1,1,1,1,1") for name in ("EURUSD", "GBPUSD")]
    options = parser().parse_args(["--data", str(files[0]), "--data", str(files[1])])
    assert options.data == files
    assert set(market_of(options).listings["alphavantage"]) == {"EUR/USD", "GBP/USD"}
