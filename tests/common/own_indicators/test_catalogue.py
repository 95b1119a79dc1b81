"""The catalogue tells what each function is, and refuses what it can't be."""

import re

import pytest

from common.indicators.own import OWN
from tests.common.own_indicators.histories import F64


def test_the_functions() -> None:
    assert {name: (function.memory, function.lookback()) for name, function in OWN.items()} == {
        "VWAP_BANDS": ("session", 0),
        "SESSION_RANGE": ("session", 0),
        "PIVOT_CLASSIC": ("sessions", 0),
        "PIVOT_FIBONACCI": ("sessions", 0),
        "PIVOT_CAMARILLA": ("sessions", 0),
        "ICHIMOKU": ("window", 77),
        "VOLATILITY_CLOSE": ("window", 20),
        "VOLATILITY_PARKINSON": ("window", 19),
        "VOLATILITY_GARMAN_KLASS": ("window", 19),
        "VOLATILITY_YANG_ZHANG": ("window", 20),
        "ZSCORE": ("window", 19),
        "HURST": ("window", 255),
    }


def test_params_are_defaults_by_name_and_whole_numbers_stay_whole() -> None:
    assert dict(OWN["ICHIMOKU"].params) == {"conversion": 9, "base": 26, "span": 52, "displacement": 26}
    assert dict(OWN["VWAP_BANDS"].params) == {"nbdev": 2.0}
    assert dict(OWN["VOLATILITY_CLOSE"].params) == {"timeperiod": 20, "periods_per_year": 1}
    assert {type(default) for default in OWN["VOLATILITY_CLOSE"].params.values()} == {int}


def test_lookback_follows_the_parameters() -> None:
    assert OWN["ZSCORE"].lookback({"timeperiod": 50}) == 49
    assert OWN["VOLATILITY_YANG_ZHANG"].lookback({"timeperiod": 50}) == 50
    assert OWN["ICHIMOKU"].lookback({"span": 120, "displacement": 30}) == 149


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("ZSCORE", {"timeperiod": 1}, "timeperiod: expected a whole number from 2 to 100000, found 1"),
        ("ZSCORE", {"timeperiod": 20.0}, "timeperiod: expected a whole number from 2 to 100000, found 20.0"),
        ("SESSION_RANGE", {"minutes": True}, "minutes: expected a whole number from 1 to 1440, found True"),
        ("ZSCORE", {"period": 20}, "ZSCORE: expected parameters out of ['timeperiod'], found ['period']"),
        ("HURST", {"timeperiod": 63}, "timeperiod: expected a whole number from 64 to 100000, found 63"),
        ("VWAP_BANDS", {"nbdev": float("nan")}, "nbdev: expected a number from 0.0 to 1000.0, found nan"),
        ("VWAP_BANDS", {"nbdev": -1}, "nbdev: expected a number from 0.0 to 1000.0, found -1"),
        ("SESSION_RANGE", {"minutes": 0}, "minutes: expected a whole number from 1 to 1440, found 0"),
        ("VOLATILITY_CLOSE", {"periods_per_year": 0}, "periods_per_year: expected a whole number from 1"),
        ("ICHIMOKU", {"base": 60}, "ICHIMOKU: expected conversion <= base <= span, found [9, 60, 52]"),
    ],
)
def test_check_says_what_was_expected_and_found(name: str, params: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        OWN[name].check(params)


def test_whole_numbers_do_for_a_number() -> None:
    OWN["VWAP_BANDS"].check({"nbdev": 2})


def test_open_checks_its_parameters(market_bars: dict[str, F64]) -> None:
    with pytest.raises(ValueError, match="timeperiod: expected"):
        OWN["ZSCORE"].open(market_bars["close"], timeperiod=0)


def test_open_wants_all_columns_of_one_length(market_bars: dict[str, F64]) -> None:
    high, low = market_bars["high"], market_bars["low"]
    with pytest.raises(ValueError, match=r"PIVOT_CLASSIC: expected \('high', 'low', 'close', 'session'\)"):
        OWN["PIVOT_CLASSIC"].open(high, low)
    with pytest.raises(ValueError, match="of one length from 78"):
        OWN["ICHIMOKU"].open(high, low[1:])
