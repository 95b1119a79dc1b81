"""The command that lists what can be computed, and what is."""

from pathlib import Path

import pytest
import talib

from common.indicators import catalogue, parse_plan
from deploy.indicators import example, main


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installation without settings, and a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def test_lists_every_function_of_talib_and_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert listed == list(catalogue())
    assert set(talib.get_functions()) < set(listed)  # type: ignore[no-untyped-call]  # as its stubs have it
    assert set(talib.get_function_groups()) < set(lines)  # type: ignore[no-untyped-call]
    assert max(len(line) for line in lines if line.startswith(" ")) <= 80


def test_an_entry_says_what_the_function_takes_gives_and_rests_on(capsys: pytest.CaptureFixture[str]) -> None:
    main([])

    text = capsys.readouterr().out
    assert (
        "  BETA  Beta\n      price0=high, price1=low -> real; timeperiod=5; lookback 5, window\n" in text
    )  # the lookback of TA-Lib's documentation
    assert (
        "  MACD  Moving Average Convergence/Divergence\n"
        "      close -> macd, macdsignal, macdhist; fastperiod=12, slowperiod=26,\n"
        "      signalperiod=9; lookback 33, recursive\n"
        "      in the plan: macd\n"
    ) in text


def test_one_function_in_detail(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rsi"]) == 0

    assert capsys.readouterr().out == (
        "RSI: Relative Strength Index\n"
        "  group        Momentum Indicators\n"
        "  inputs       close; instead of close any column or output of another indicator, by input\n"
        "  parameters   timeperiod=14\n"
        "  outputs      real\n"
        "  lookback     14 bars before the first value\n"
        "  ready        after 140 bars, as below\n"
        "  rests on     all bars so far, the older ones fading (recursive)\n"
        "  in TA-Lib    talib.RSI(close, timeperiod=14)\n"
        "  in the plan  rsi_14: rsi_14\n"
        "  for the plan\n"
        "    [indicators]\n"
        '    rsi = { function = "RSI", timeperiod = 14 }\n'
    )


def test_one_of_our_own_names_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["VWAP_BANDS"]) == 0

    assert "  source       West (1979), Communications of the ACM 22/9; not in TA-Lib\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", catalogue())
def test_the_example_is_a_plan_with_the_functions_defaults(name: str) -> None:
    made = parse_plan(example(catalogue()[name]), "example").indicators[-1]

    assert (made.name, made.function.name, made.params) == (name.lower(), name, catalogue()[name].params)


def test_the_plan_is_the_one_that_the_settings_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.toml"
    file.write_text('[indicators]\nquick = { function = "RSI", timeperiod = 2 }\n')
    monkeypatch.setenv("INDICATORS_FILE", str(file))

    assert main([]) == 0

    text = capsys.readouterr().out
    assert f"The plan in use, of 1 indicators: {file}\n" in text
    assert text.count("in the plan:") == 1
    assert "in the plan: quick" in text


@pytest.mark.parametrize(
    ("plan", "arguments", "said"),
    [
        ("[indicators]\n", ["RSY"], "NAME: expected a function's name, found 'RSY'; did you mean RSI?"),
        ('[indicators]\nquick = { function = "RSY" }\n', [], "line 2: quick: no function 'RSY'; did you mean RSI?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    plan: str,
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "own.toml").write_text(plan)
    monkeypatch.setenv("INDICATORS_FILE", str(tmp_path / "own.toml"))

    assert main(arguments) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
