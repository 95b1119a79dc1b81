"""The strategies' file: mistakes are told with their line, what was expected and found, and the nearest right name."""

from pathlib import Path

import pytest

from common.errors import Fatal
from common.strategies import RULES, load_strategies, parse_strategies
from common.strategies.strategy_file import BUILTIN
from tests.common.made_strategies import SHIPPED, lanes

TEXT = BUILTIN.read_text()
PULLBACKS = "fast, slow, macd_hist, rsi, rsi_max, touch_atr"
REGIMES = "adx, fast, slow, atr, atr_average, trend_adx, trend_atr, volatile_ratio"


def line_in(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def told(text: str) -> str:
    with pytest.raises(Fatal) as fatal:
        parse_strategies(text, "mine.toml", lanes())
    return str(fatal.value)


def test_the_file_that_comes_with_the_project_uses_every_rule() -> None:
    assert list(SHIPPED) == list(RULES)


@pytest.mark.parametrize(
    ("right", "wrong", "why"),
    [
        ('upper = "donchian_upper"', 'upper = "donchian_uper"',
         "breakout: upper: the plan has no output 'donchian_uper' on EURUSD 5m; did you mean donchian_upper?"),
        ('rule = "pullback"', 'rule = "pulback"',
         f"pullback: rule: expected one of {', '.join(RULES)}, found 'pulback'; did you mean pullback?"),
        ("touch_atr = 0.1", "touch_art = 0.1",
         f"pullback: pullback has no parameter 'touch_art'; did you mean touch_atr?; its own: {PULLBACKS}"),
        ("touch_atr = 0.1", "touch_atr = 0.0", "pullback: touch_atr: expected a number from 0.01 to 100, found 0.0"),
        ("touch_atr = 0.1", "touch_atr = nan", "pullback: touch_atr: expected a number from 0.01 to 100, found nan"),
        ("touch_atr = 0.1", 'touch_atr = "x"', "pullback: touch_atr: expected a number from 0.01 to 100, found 'x'"),
        ("rsi_extreme = 30.0", "rsi_extreme = true",
         "mean_reversion: rsi_extreme: expected a number from 0 to 100, found True"),
        ('mean = "bollinger_middle"', "mean = 20",
         "mean_reversion: mean: expected the name of an output of the plan, found 20"),
        ('regimes = ["range"]', 'regimes = ["rnage"]',
         "mean_reversion: regimes: expected some of trend, range, high_volatility, found 'rnage'; did you mean range?"),
        ('regimes = ["range"]', "regimes = []",
         "mean_reversion: regimes: expected some of trend, range, high_volatility, found []"),
        ('timeframes = ["1m", "5m"]', 'timeframes = ["1m", "5min"]',
         "trend_following: timeframes: expected some of 1s, 1m, 5m, 15m, 1h, found '5min'; did you mean 5m?"),
        ("cooldown_bars = 5", "cooldown_bars = 5.0",
         "trend_following: cooldown_bars: expected a whole number from 0 to 100000, found 5.0"),
        ("targets_r = [0.8, 1.5]", "targets_r = [1.5, 0.8]",
         "mean_reversion: targets_r: expected 0 < first < second <= 100, found [1.5, 0.8]"),
        ("targets_r = [0.8, 1.5]", "targets_r = [0.8]", "mean_reversion: targets_r: expected two numbers, found [0.8]"),
        ("trend_adx = 25.0", "trend_adx = 250", "regime: trend_adx: expected a number from 0 to 100, found 250"),
        ("trend_adx = 25.0", "trend_axd = 25.0",
         f"regime: no parameter 'trend_axd'; did you mean trend_adx?; known: {REGIMES}"),
        ("[strategies.momentum]", "[strategies.Momentum]",
         "Momentum: expected a name of small letters, digits and _"),
        ("[regime]", "[regmie]", "expected tables [regime] and [strategies], found 'regmie'; did you mean regime?"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(right: str, wrong: str, why: str) -> None:
    text = TEXT.replace(right, wrong, 1)

    assert told(text) == f"STRATEGIES_FILE: mine.toml, line {line_in(text, wrong)}: {why}"


def test_a_parameter_that_is_missing_is_told_with_the_strategys_line() -> None:
    text = TEXT.replace("touch_atr = 0.1\n", "")

    line = line_in(text, "[strategies.pullback]")
    why = "pullback: touch_atr: expected a number from 0.01 to 100, found none"
    assert told(text) == f"STRATEGIES_FILE: mine.toml, line {line}: {why}"


def test_an_output_of_the_regime_that_the_plan_lacks_is_told_with_the_first_strategy() -> None:
    text = TEXT.replace('atr_average = "atr_14_sma_50"', 'atr_average = "atr_14_sma_20"')

    line = line_in(text, "[strategies.trend_following]")
    assert told(text) == (
        f"STRATEGIES_FILE: mine.toml, line {line}: trend_following: regime's atr_average: the plan has no output"
        " 'atr_14_sma_20' on EURUSD 1m; did you mean atr_14_sma_50?"
    )


def test_a_slip_anywhere_is_told_with_its_line() -> None:
    """Each parameter in turn gets a name that nothing has."""
    lines = TEXT.splitlines()
    for number, line in enumerate(lines):
        if "=" in line and not line.startswith(("#", "rule")):
            broken = "\n".join([*lines[:number], f"zzz_{line}", *lines[number + 1 :]])
            assert told(broken).startswith(f"STRATEGIES_FILE: mine.toml, line {number + 1}: "), line


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", ": expected a table [strategies], found none"),
        ("[strategies.x]\nrule = 1\n", ": expected a table [regime], found none"),
        ("[strategies\n", ": Expected ']' at the end of a table declaration (at line 1, column 12)"),
        ("strategies = 3\n", ", line 1: expected tables [regime] and [strategies], found 'strategies'"),
    ],
)
def test_a_file_that_is_none_is_told(text: str, why: str) -> None:
    assert told(text) == f"STRATEGIES_FILE: mine.toml{why}"


def test_a_file_may_ask_for_no_strategy() -> None:
    assert parse_strategies("[strategies]\n", "mine.toml", lanes()) == ()


def test_a_rule_may_be_used_twice_under_two_names() -> None:
    again = TEXT[TEXT.index("[strategies.pullback]") :].replace("[strategies.pullback]", "[strategies.deeper]")

    found = parse_strategies(TEXT + again, "mine.toml", lanes())

    assert [strategy.name for strategy in found][-2:] == ["pullback", "deeper"]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match=r"STRATEGIES_FILE: .*none\.toml: No such file or directory"):
        load_strategies(tmp_path / "none.toml", lanes())
    (tmp_path / "bytes.toml").write_bytes(b"[strategies]\n# \xff\n")
    with pytest.raises(Fatal, match=r"bytes\.toml, line 2: expected UTF-8, found other bytes"):
        load_strategies(tmp_path / "bytes.toml", lanes())
