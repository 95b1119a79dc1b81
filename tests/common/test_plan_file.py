"""The plan's file: mistakes are told with their line and the nearest right name; chains are TA-Lib's calls, nested."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import Fatal
from common.indicators import catalogue, load_plan, parse_plan
from common.indicators.plan_file import BUILTIN
from tests.features.made_lanes import MINUTE, forming, made, new_lane
from tests.features.talib_values import F64, GIVEN, Life, bits, life_of

# What stands in a line of the file -> what is said of it.
MISTAKES = {
    # -- names
    '"RSI 14" = { function = "RSI" }': "RSI 14: expected a name of small letters, digits and _ that is no column's",
    'Rsi = { function = "RSI" }': "Rsi: expected a name of small letters, digits and _ that is no column's",
    'close = { function = "RSI" }': "close: expected a name of small letters, digits and _ that is no column's",
    '"" = { function = "RSI" }': ": expected a name of small letters, digits and _ that is no column's",
    # -- functions
    'x = "RSI"': 'x: expected a table with a function, as in { function = "RSI", timeperiod = 14 }',
    "x = { timeperiod = 14 }": 'x: expected a table with a function, as in { function = "RSI", timeperiod = 14 }',
    'x = { function = ["RSI"] }': 'x: expected a table with a function, as in { function = "RSI", timeperiod = 14 }',
    'x = { function = "RSII" }': "x: no function 'RSII'; did you mean RSI?; `make indicators` lists them",
    'x = { function = "ema" }': "x: no function 'ema'; did you mean EMA?; `make indicators` lists them",
    'x = { function = "VWAPBANDS" }': (
        "x: no function 'VWAPBANDS'; did you mean VWAP_BANDS?; `make indicators` lists them"
    ),
    'x = { function = "@" }': "x: no function '@'; `make indicators` lists them",
    # -- parameters
    'x = { function = "RSI", timeperoid = 14 }': (
        "x: RSI has no parameter 'timeperoid'; did you mean timeperiod?; its parameters: timeperiod"
    ),
    'x = { function = "RSI", inputt = "open" }': (
        "x: RSI has no parameter 'inputt'; did you mean input?; its parameters: timeperiod"
    ),
    'x = { function = "OBV", timeperiod = 3 }': "x: OBV has no parameter 'timeperiod'; its parameters: none",
    'x = { function = "RSI", timeperiod = 14.0 }': "x: timeperiod: expected a whole number, found 14.0",
    'x = { function = "RSI", timeperiod = "14" }': "x: timeperiod: expected a whole number, found '14'",
    'x = { function = "RSI", timeperiod = true }': "x: timeperiod: expected a whole number, found True",
    'x = { function = "RSI", timeperiod = [14] }': "x: timeperiod: expected a whole number, found [14]",
    'x = { function = "BBANDS", nbdevup = "2" }': "x: nbdevup: expected a number, found '2'",
    'x = { function = "RSI", timeperiod = 0 }': "x: expected parameters in TA-Lib's ranges, found timeperiod = 0",
    'x = { function = "RSI", timeperiod = 100001 }': (
        "x: expected parameters in TA-Lib's ranges, found timeperiod = 100001"
    ),
    # TA-Lib reads the least 32-bit number, and the real one beyond its range, as "not given".
    'x = { function = "RSI", timeperiod = -2147483648 }': (
        "x: timeperiod: expected a number from -2.14748e+09 to 2.14748e+09, found -2147483648"
    ),
    'x = { function = "RSI", timeperiod = 5000000000 }': (
        "x: timeperiod: expected a number from -2.14748e+09 to 2.14748e+09, found 5000000000"
    ),
    'x = { function = "BBANDS", nbdevup = -4e37 }': "x: nbdevup: expected a number from -3e+37 to 3e+37, found -4e+37",
    'x = { function = "BBANDS", nbdevup = nan }': "x: nbdevup: expected a number from -3e+37 to 3e+37, found nan",
    'x = { function = "BBANDS", nbdevup = inf }': "x: nbdevup: expected a number from -3e+37 to 3e+37, found inf",
    'x = { function = "HURST", timeperiod = 3 }': ("x: timeperiod: expected a whole number from 64 to 100000, found 3"),
    'x = { function = "ICHIMOKU", conversion = 60 }': (
        "x: ICHIMOKU: expected conversion <= base <= span, found [60, 26, 52]"
    ),
    # -- types of moving average
    'x = { function = "MA", matype = "emma" }': (
        "x: matype: expected one of DEFAULT, DEMA, DISABLED, EMA, HMA, KAMA, MAMA, RMA, SMA, T3, TEMA, TRIMA, WMA,"
        " ZLEMA, found 'emma'; did you mean EMA?"
    ),
    'x = { function = "STOCH", slowd_matype = "sma" }': (
        "x: slowd_matype: expected one of DEFAULT, DEMA, DISABLED, EMA, HMA, KAMA, MAMA, RMA, SMA, T3, TEMA, TRIMA,"
        " WMA, ZLEMA, found 'sma'; did you mean SMA?"
    ),
    'x = { function = "MA", matype = 99 }': (
        "x: expected parameters in TA-Lib's ranges, found timeperiod = 30, matype = 99"
    ),
    # -- inputs
    'x = { function = "EMA", input = "rsi_41" }': (
        "x: input 'rsi_41': expected a column or an output defined above; did you mean rsi_14?"
    ),
    'x = { function = "EMA", input = "Close" }': (
        "x: input 'Close': expected a column or an output defined above; did you mean close?"
    ),
    'x = { function = "EMA", input = "later" }': "x: input 'later': expected a column or an output defined above",
    'x = { function = "EMA", input = "x" }': "x: input 'x': expected a column or an output defined above",
    'x = { function = "EMA", input = "macd" }': (
        "x: input 'macd': expected a column or an output defined above; did you mean macd_macd?"
    ),
    'x = { function = "EMA", input = 3 }': "x: input: expected a name, found 3",
    'x = { function = "EMA", inputs = "close" }': "x: inputs: expected a list of names, found 'close'",
    'x = { function = "EMA", inputs = [] }': "x: inputs: expected a list of names, found []",
    'x = { function = "EMA", input = "open", inputs = ["open"] }': "x: expected input or inputs, found both",
    'x = { function = "EMA", inputs = ["open", "close"] }': "x: EMA: expected 1 inputs (price), found 2",
    'x = { function = "ATR", input = "close" }': "x: ATR: expected 0 inputs (), found 1",
    'x = { function = "MAVP" }': "x: MAVP: expected 2 inputs (price, periods), found 0",
    # -- outputs
    'x = { function = "RSI", outputs = ["a", "b"] }': "x: outputs: expected 1 names (for real), found 2",
    'x = { function = "MACD", outputs = ["a", "b"] }': (
        "x: outputs: expected 3 names (for macd, macdsignal, macdhist), found 2"
    ),
    'x = { function = "AROON", outputs = ["a", "a"] }': "x: outputs: expected each name once",
    'x = { function = "RSI", outputs = ["rsi_14"] }': "x: output 'rsi_14' exists already: rsi_14 has it",
    'macd_macd = { function = "RSI" }': "macd_macd: output 'macd_macd' exists already: macd has it",
    'x = { function = "RSI", outputs = ["Volume"] }': (
        "x: outputs: expected small letters, digits and _, and no column's name, found 'Volume'"
    ),
    'x = { function = "RSI", outputs = ["volume"] }': (
        "x: outputs: expected small letters, digits and _, and no column's name, found 'volume'"
    ),
    'x = { function = "RSI", outputs = "a" }': "x: outputs: expected a list of names, found 'a'",
    # -- lanes
    'x = { function = "RSI", timeframes = ["1min"] }': (
        "x: timeframes: expected some of 1s, 1m, 5m, 15m, 1h, found '1min'"
    ),
    'x = { function = "RSI", timeframes = "1m" }': "x: timeframes: expected a list of names, found '1m'",
    'x = { function = "RSI", symbols = "EURUSD" }': "x: symbols: expected a list of names, found 'EURUSD'",
    'x = { function = "RSI", symbols = [1] }': "x: symbols: expected a list of names, found [1]",
    'x = { function = "EMA", input = "hourly" }': (
        "x: input 'hourly' has the timeframes 15m, 1h only: expected no others here"
    ),
    'x = { function = "EMA", input = "hourly", timeframes = ["5m", "1h"] }': (
        "x: input 'hourly' has the timeframes 15m, 1h only: expected no others here"
    ),
    'x = { function = "EMA", input = "golden", symbols = ["EURUSD", "XAUUSD"] }': (
        "x: input 'golden' has the symbols XAUUSD only: expected no others here"
    ),
    # -- two symbols
    'x = { function = "BETA", inputs = ["close", "US500:price"], symbols = ["NAS100"] }': (
        "x: input 'US500:price': expected SYMBOL:column, the column one of open, high, low, close, volume, time,"
        " session"
    ),
    'x = { function = "BETA", inputs = ["close", ":close"], symbols = ["NAS100"] }': (
        "x: input ':close': expected SYMBOL:column, the column one of open, high, low, close, volume, time, session"
    ),
    'x = { function = "BETA", inputs = ["close", "US500:close"] }': (
        "x: expected symbols = [...], those that are set beside US500, without itself"
    ),
    'x = { function = "BETA", inputs = ["close", "US500:close"], symbols = ["US500"] }': (
        "x: expected symbols = [...], those that are set beside US500, without itself"
    ),
    **{
        f'x = {{ function = "{function}", inputs = {inputs}, symbols = ["NAS100"] }}': (
            "x: an indicator over two symbols takes columns of its own and of one other; none by session"
        )
        for function, inputs in (
            ("BETA", '["US30:close", "US500:close"]'),
            ("BETA", '["rsi_14", "US500:close"]'),
            ("BETA", '["session", "US500:close"]'),
            ("BETA", '["close", "US500:session"]'),
            ("OBV", '["US500:close"]'),
        )
    },
    'x = { function = "EMA", input = "beta", symbols = ["NAS100"] }': (
        "x: input 'beta' is over two symbols: nothing can rest on it"
    ),
}


def told(line: str) -> str:
    """What is said of a plan whose eighth line is this one."""
    text = "\n".join(
        (
            "# x = { function = 'RSI' }",
            "[indicators]",
            'rsi_14 = { function = "RSI" }',
            'macd = { function = "MACD" }',
            'hourly = { function = "RSI", timeframes = ["15m", "1h"] }',
            'golden = { function = "RSI", symbols = ["XAUUSD"] }',
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
    assert told(line) == f"INDICATORS_FILE: mine.toml, line 8: {expected}"


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
@settings(max_examples=60, deadline=None)
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
        d = { function = "EMA", inputs = ["US500:volume"], symbols = ["NAS100"] }
        """,
        "volumes",
    )

    assert [one.needs_volume for one in plan.indicators] == [False, False, True, True, True]


CHAINS = parse_plan(
    """
    [indicators]
    rsi = { function = "RSI", timeperiod = 5 }
    rsi_ema = { function = "EMA", timeperiod = 4, input = "rsi" }
    rsi_ema_ema = { function = "EMA", timeperiod = 3, input = "rsi_ema" }
    volume_sma = { function = "SMA", timeperiod = 3, input = "volume" }
    together = { function = "CORREL", timeperiod = 4, inputs = ["rsi_ema", "volume_sma"] }
    obv = { function = "OBV" }
    obv_bands = { function = "BBANDS", timeperiod = 6, input = "obv", outputs = ["upper", "middle", "lower"] }
    obv_rsi = { function = "RSI", timeperiod = 3, input = "middle" }
    rsi_obv = { function = "OBV", input = "rsi" }
    mixed = { function = "BETA", timeperiod = 3, inputs = ["obv", "rsi"] }
    """,
    "chains",
)
# TA-Lib's relative volume has no finite value after bars without volume.
GAPS = parse_plan(
    """
    [indicators]
    rvol = { function = "RVOL", timeperiod = 2 }
    rvol_ema = { function = "EMA", timeperiod = 3, input = "rvol" }
    rvol_ema_top = { function = "MAX", timeperiod = 2, input = "rvol_ema" }
    together = { function = "CORREL", timeperiod = 3, inputs = ["rvol", "close"] }
    rvol_sum = { function = "CUMSUM", input = "rvol" }
    rvol_sum_sma = { function = "SMA", timeperiod = 2, input = "rvol_sum" }
    """,
    "gaps",
)


def chained(close: F64, volume: F64, begin: int) -> F64:
    """The values of CHAINS over a window, by TA-Lib's batch functions. begin: where the last session begins in it."""
    rsi = talib.RSI(close, 5)
    rsi_ema = talib.EMA(rsi, 4)
    volume_sma = talib.SMA(volume, 3)
    own = (rsi, rsi_ema, talib.EMA(rsi_ema, 3), volume_sma, talib.CORREL(rsi_ema, volume_sma, 4))
    obv = talib.OBV(close[begin:], volume[begin:])
    bands = talib.BBANDS(obv, 6)
    rsi_obv = where_given(talib.OBV, rsi[begin:], volume[begin:])
    of_session = (obv, *bands, talib.RSI(bands[1], 3), rsi_obv, talib.BETA(obv, rsi[begin:], 3))
    return np.column_stack((*own, *(after(begin, values) for values in of_session)))


def with_gaps(close: F64, volume: F64, begin: int) -> F64:
    """The values of GAPS: what rests on an indicator takes the bars where that has a value, and no others."""
    rvol = talib.RVOL(volume, 2)
    rvol_ema = where_given(lambda given: talib.EMA(given, 3), rvol)
    top = where_given(lambda given: talib.MAX(given, 2), rvol_ema)
    together = where_given(lambda one, other: talib.CORREL(one, other, 3), rvol, close)
    total = where_given(talib.CUMSUM, rvol[begin:])
    smooth = where_given(lambda given: talib.SMA(given, 2), total)
    return np.column_stack((rvol, rvol_ema, top, together, after(begin, total), after(begin, smooth)))


def where_given(compute: Callable[..., F64], *arrays: F64) -> F64:
    """Compute over the places at which all inputs are finite numbers; NaN at the others."""
    given = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    found = np.full(len(arrays[0]), np.nan)
    if given.any():
        found[given] = compute(*(array[given] for array in arrays))
    return found


def after(begin: int, values: F64) -> F64:
    return np.concatenate((np.full(begin, np.nan), values))


@pytest.mark.parametrize("kind", ["without gaps", "with gaps"])
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 120), st.integers(1, 60), st.integers(1, 60), st.data())
def test_chains_equal_nested_calls_of_talib_over_restarts_and_sessions(
    kind: str, seed: int, count: int, max_bars: int, anchor_bars: int, data: st.DataObject
) -> None:
    plan, values_of, quiet = (GAPS, with_gaps, 0.4) if kind == "with gaps" else (CHAINS, chained, 0.1)
    bars = made(seed, count, flat=0.1, quiet=quiet)
    restarts = data.draw(st.sets(st.integers(0, count - 1), max_size=4))
    session_ms = 40 * MINUTE
    life = life_of(bars, "EURUSD|1m", MINUTE, max_bars, anchor_bars, session_ms)
    lane = new_lane(plan, max_bars, anchor_bars, session_ms)
    for place, closing in enumerate(bars):
        if place in restarts:
            cache, lane = lane.window.stored(), new_lane(plan, max_bars, anchor_bars, session_ms)
            lane.load(cache)
            lane.reopen()
        peeked = lane.peek([forming(closing)])
        lane.append(closing)

        part = next(part for part in life.stretches if part.anchor <= place < part.end)
        begin = session_begin(life, part.start, place) - part.start
        close, volume = (life.columns[name][part.start : place + 1] for name in ("close", "volume"))
        expected = values_of(close, volume, begin)
        assert bits(np.array(lane.values)).tolist() == bits(expected[-1]).tolist()
        if len(expected) > 1:
            assert bits(np.array(lane.previous)).tolist() == bits(expected[-2]).tolist()
        if place != part.anchor or place == 0:  # an anchor moves the window with its close
            assert bits(np.array(peeked)).tolist() == bits(expected[-1]).tolist()


def session_begin(life: Life, start: int, place: int) -> int:
    """Where the session began that a bar belongs to; the bar after it, where that is not in the window."""
    first = life.session_starts.index(life.session_starts[place])
    known = first > start or (first == start and life.opens[first] <= life.session_starts[first])
    return first if known else place + 1
