"""The plan's file: what is wrong in it is told with its line and the nearest right name."""

import re
from pathlib import Path

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Fatal
from common.indicators import catalogue, load_plan, parse_plan
from common.indicators.plan_file import BUILTIN
from tests.common.plan_mistakes import MISTAKES
from tests.features.talib_values import GIVEN
from tests.support_examples import examples


def told(line: str) -> str:
    """What is said of a plan whose ninth line is this one."""
    text = "\n".join(
        (
            "# x = { function = 'RSI' }",
            "[indicators]",
            'rsi_14 = { function = "RSI" }',
            'macd = { function = "MACD" }',
            'hourly = { function = "RSI", timeframes = ["15m", "1h"] }',
            'golden = { function = "RSI", symbols = ["XAUUSD"] }',
            'x_aroonup = { function = "RSI" }',
            'beta = { function = "BETA", inputs = ["close", "US500:close"], symbols = ["NAS100"] }',
            line,
            'later = { function = "RSI" }',
        )
    )
    with pytest.raises(Fatal) as found:
        parse_plan(text, "mine.toml")
    return str(found.value)


@pytest.mark.parametrize(("line", "expected"), MISTAKES.items(), ids=str)
def test_a_mistake_is_told_with_its_line_and_the_nearest_right_name(line: str, expected: str) -> None:
    assert told(line) == f"INDICATORS_FILE: mine.toml, line 9: {expected}"


def fatal(text: str) -> str:
    with pytest.raises(Fatal) as found:
        parse_plan(text, "mine.toml")
    return str(found.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[indicators]\nx = { function = "RSII" }', 2),
        ('[indicators]\n\n\n"x" = { function = "RSII" }', 4),
        ('[indicators]\n  x={function="RSII"}', 2),
        ('[indicators]\nx.timeperiod = 3\nx.function = "RSII"', 2),
        ('[indicators.y]\nfunction = "RSI"\n\n[indicators.x]\nfunction = "RSII"\ntimeperiod = 3', 4),
        ('[indicators.y]\nfunction = "RSI"\n[ indicators . "x" ]\nfunction = "RSII"', 3),
        ("indicators.x.function = 'RSII'", 1),
        ('[indicators]\nxx = { function = "RSI" }\nx = { function = "RSII" }', 3),
        ('[indicators]\r\ny = { function = "RSI" }\r\nx = { function = "RSII" }\r\n', 3),
    ],
)
def test_the_line_is_right_in_every_form_that_toml_has(text: str, line: int) -> None:
    assert fatal(text).startswith(f"INDICATORS_FILE: mine.toml, line {line}: x: no function 'RSII'; did you mean RSI?")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[indicators]\nx = { function = "RSI"', "Unclosed inline table (at line 2, column 23)"),
        ('[indicators]\nx = { function = "RSI" }\nx = { function = "EMA" }', "(at line 3, column 25)"),
        ('[indicators]\nx = { function = "RSI" }\n\n\nx = { function = "EMA" }\ny = 3', "(at line 5, column 25)"),
        ('[indicators]\nx = { function = "RSI", function = "EMA" }', "(at line 2, column"),
        ("[indicators]\nx = RSI", "(at line 2, column 5)"),
        ("[indicators\nx = 3", "(at line 1, column 12)"),
        ('[indicators]\nx = { function = "RSI",\ntimeperiod = 3 }', "(at line 2, column 24)"),
        (f"[indicators]\nx = {'9' * 5_000}", "Exceeds the limit"),
    ],
)
def test_a_mistake_in_the_syntax_is_told_with_its_line(text: str, expected: str) -> None:
    found = fatal(text)

    assert found.startswith("INDICATORS_FILE: mine.toml: ")
    assert expected in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ": expected one table [indicators], found none"),
        ("# nothing", ": expected one table [indicators], found none"),
        ("\n[indicator]", ", line 2: expected one table [indicators], found 'indicator'; did you mean indicators?"),
        ("\n[indicator.x]", ", line 2: expected one table [indicators], found 'indicator'; did you mean indicators?"),
        ("x = { a = 1 }\n[indicators]", ", line 1: expected one table [indicators], found 'x'"),
        ("[indicators]\n\n[other]\nx = 3", ", line 3: expected one table [indicators], found 'other'"),
        ("indicators = 3", ", line 1: expected one table [indicators], found 'indicators'"),
        ("\n[[indicators]]", ", line 2: expected one table [indicators], found 'indicators'"),
    ],
)
def test_anything_but_one_table_of_indicators_is_refused(text: str, expected: str) -> None:
    assert fatal(text) == f"INDICATORS_FILE: mine.toml{expected}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing, latin, folder = tmp_path / "missing.toml", tmp_path / "latin.toml", tmp_path / "folder.toml"
    latin.write_bytes('[indicators]\n# nur f\xfcr mich\nx = { function = "RSI" }\n'.encode("latin-1"))
    folder.mkdir()

    for path, why in (
        (missing, f"{missing}: No such file or directory"),
        (folder, f"{folder}: Is a directory"),
        (latin, f"{latin}, line 2: expected UTF-8, found other bytes"),
    ):
        with pytest.raises(Fatal) as found:
            load_plan(path)
        assert str(found.value) == f"INDICATORS_FILE: {why}"


def test_a_file_from_windows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf" + '[indicators]\r\n# f\xfcr mich\r\nx = { function = "RSI" }\r\n'.encode())

    assert [one.name for one in load_plan(path).indicators] == ["x"]


DEFAULT = BUILTIN.read_text()
LINES = [(number, line) for number, line in enumerate(DEFAULT.splitlines(), 1) if re.match(r"[a-z0-9_]+ = \{", line)]


@given(st.sampled_from(LINES), st.sampled_from(["function", "parameter", "input", "symbols", "twice"]), st.data())
@examples(60)
def test_a_slip_anywhere_in_the_default_plan_is_told_with_its_line(
    place: tuple[int, str], kind: str, data: st.DataObject
) -> None:
    number, line = place
    name, function = line.split(" = ")[0], line.split('"')[1]
    at = data.draw(st.integers(0, len(function)))
    other = f"{function[:at]}q{function[at:]}"
    without_input = re.sub(', input = "[a-z0-9_]+"', "", line)
    wrong, said = {
        "function": (line.replace(f'"{function}"', f'"{other}"'), f"no function '{other}'; did you mean "),
        "parameter": (line.replace(" }", ", timperiod = 3 }"), f"{function} has no parameter 'timperiod'"),
        "input": (without_input.replace(" }", ', input = "clos" }'), "output defined above; did you mean close?"),
        "symbols": (line.replace(" }", ', symbols = "x" }'), "symbols: expected a list of names, found 'x'"),
        "twice": (f"{line}\n{line}", "Cannot overwrite a value"),
    }[kind]
    lines = DEFAULT.splitlines()
    lines[number - 1] = wrong

    found = fatal("\n".join(lines))

    assert said in found
    assert (f"(at line {number + 1}," if kind == "twice" else f", line {number}: {name}: ") in found


def test_the_default_plan_and_a_plan_of_everything_are_read() -> None:
    lines = [f'{name.lower()} = {{ function = "{name}"{inputs_of(name)} }}' for name in catalogue()]

    everything = parse_plan("[indicators]\n" + "\n".join(lines), "all")

    assert [one.function.name for one in everything.indicators] == list(catalogue())
    assert len(everything.indicators) >= len(talib.get_functions())  # type: ignore[no-untyped-call]  # in its stubs
    names = everything.program("EURUSD", "1m").names
    assert len(set(names)) == len(names)
    assert len(load_plan(None).indicators) == len(LINES)


def inputs_of(name: str) -> str:
    return f", inputs = {list(GIVEN[name])}" if name in GIVEN else ""


def test_a_type_of_average_may_be_a_name_or_its_number() -> None:
    plan = parse_plan(
        '[indicators]\na = { function = "MA", matype = "EMA" }\nb = { function = "MA", matype = 1 }', "types"
    )

    assert [(one.params["matype"], one.memory) for one in plan.indicators] == [(1, "recursive"), (1, "recursive")]


def test_an_output_is_not_taken_for_volume_because_of_its_name() -> None:
    plan = parse_plan(
        """
        [indicators]
        beyond_volume = { function = "RSI" }
        a = { function = "EMA", input = "beyond_volume" }
        b = { function = "EMA", input = "volume" }
        c = { function = "EMA", input = "b" }
        d = { function = "CORREL", inputs = ["volume", "US500:close"], symbols = ["NAS100"] }
        """,
        "volumes",
    )

    assert [one.needs_volume for one in plan.indicators] == [False, False, True, True, True]


def test_the_plans_example_of_a_beta_is_that_of_the_symbol_to_the_other_one() -> None:
    """By its definition, covariance over the variance of the other one's returns: here it moves twice as far."""
    line = next(line for line in DEFAULT.splitlines() if "beta_to_us500" in line)
    one = parse_plan("[indicators]\n" + line.lstrip("# "), "example").indicators[0]
    rng = np.random.default_rng(1)
    theirs = rng.normal(0.0, 0.01, 50)
    ours = 2.0 * theirs + rng.normal(0.0, 0.002, 50)
    returns = {"US500:close": theirs, "close": ours}
    prices = {name: np.array(np.cumprod(1.0 + moved), np.float64) for name, moved in returns.items()}

    found = one.function.start([prices[ref] for ref in one.inputs], one.params).value

    window = int(one.params["timeperiod"])
    covariance = np.cov(ours[-window:], theirs[-window:], bias=True)
    assert found == pytest.approx(covariance[0, 1] / covariance[1, 1])
