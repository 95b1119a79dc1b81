"""The functions themselves, by name. The names are part of the interface: never change one."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from common.indicators.columns import Column
from common.indicators.function import Params, Running
from common.indicators.own import pivots, volatility, zscore
from common.indicators.own.catalogue import OwnFunction, Param
from common.indicators.own.hurst import Hurst
from common.indicators.own.ichimoku import Ichimoku
from common.indicators.own.session_range import SessionRange
from common.indicators.own.vwap_bands import VwapBands

MOST_BARS = 100_000  # TA-Lib's own limit of every period
MOST_PERIODS = 366 * 86_400  # one-second bars in a leap year
_PIVOT_LEVELS = ("pivot", "r1", "r2", "r3", "s1", "s2", "s3")
_CAMARILLA_LEVELS = ("pivot", "r1", "r2", "r3", "r4", "s1", "s2", "s3", "s4")


def _opener(opener: object) -> Callable[..., Running]:
    """Return it as what it is for the catalogue: protocols can't say `update` with named inputs."""
    return cast(Callable[..., Running], opener)


def _period(default: int, least: int = 2, name: str = "timeperiod") -> Param:
    return Param(name, default, least, MOST_BARS)


def _bars_of_window(params: Params) -> int:
    return int(params["timeperiod"]) - 1


def _bars_of_returns(params: Params) -> int:
    """A return takes two bars."""
    return int(params["timeperiod"])


def _bars_of_cloud(params: Params) -> int:
    return int(params["span"]) - 1 + int(params["displacement"])


_VOLATILITY_PARAMS = (_period(20), Param("periods_per_year", 1, 1, MOST_PERIODS))

_VOLATILITIES = (
    OwnFunction(
        "VOLATILITY_CLOSE",
        "Realised volatility, close to close",
        ("close",),
        _VOLATILITY_PARAMS,
        ("volatility",),
        "window",
        "Hull, Options, Futures, and Other Derivatives",
        _opener(volatility.open_close),
        _bars_of_returns,
    ),
    OwnFunction(
        "VOLATILITY_PARKINSON",
        "Realised volatility, Parkinson",
        ("high", "low"),
        _VOLATILITY_PARAMS,
        ("volatility",),
        "window",
        "Parkinson (1980), Journal of Business 53",
        _opener(volatility.open_parkinson),
        _bars_of_window,
    ),
    OwnFunction(
        "VOLATILITY_GARMAN_KLASS",
        "Realised volatility, Garman-Klass",
        ("open", "high", "low", "close"),
        _VOLATILITY_PARAMS,
        ("volatility",),
        "window",
        "Garman, Klass (1980), Journal of Business 53",
        _opener(volatility.open_garman_klass),
        _bars_of_window,
    ),
    OwnFunction(
        "VOLATILITY_YANG_ZHANG",
        "Realised volatility, Yang-Zhang",
        ("open", "high", "low", "close"),
        _VOLATILITY_PARAMS,
        ("volatility",),
        "window",
        "Yang, Zhang (2000), Journal of Business 73",
        _opener(volatility.open_yang_zhang),
        _bars_of_returns,
    ),
)

_STATISTICS = (
    OwnFunction(
        "ZSCORE",
        "Z-score of the close",
        ("close",),
        (_period(20),),
        ("zscore",),
        "window",
        "Kreyszig (1979), Advanced Engineering Mathematics",
        _opener(zscore.open_zscore),
        _bars_of_window,
    ),
    OwnFunction(
        "HURST",
        "Generalised Hurst exponent, q = 2",
        ("close",),
        (_period(256, 64),),
        ("hurst",),
        "window",
        "Barabasi, Vicsek (1991), Physical Review A 44; Di Matteo (2007), Quantitative Finance 7",
        _opener(Hurst.over),
        _bars_of_window,
    ),
)

_ICHIMOKU = OwnFunction(
    "ICHIMOKU",
    "Ichimoku Kinko Hyo",
    ("high", "low"),
    (
        _period(9, name="conversion"),
        _period(26, name="base"),
        _period(52, name="span"),
        _period(26, 1, "displacement"),
    ),
    ("tenkan", "kijun", "senkou_a", "senkou_b", "lead_a", "lead_b"),
    "window",
    "Hosoda (1969), Ichimoku Kinko Hyo; Elliott (2007), Ichimoku Charts",
    _opener(Ichimoku.over),
    _bars_of_cloud,
    ("conversion", "base", "span"),
)


def _pivots(name: str, title: str, outputs: tuple[str, ...], source: str, opener: object) -> OwnFunction:
    inputs: tuple[Column, ...] = ("high", "low", "close", "session")
    return OwnFunction(name, title, inputs, (), outputs, "sessions", source, _opener(opener))


_OF_SESSIONS = (
    OwnFunction(
        "VWAP_BANDS",
        "VWAP with bands of volume-weighted standard deviation",
        ("high", "low", "close", "volume"),
        (Param("nbdev", 2.0, 0.0, 1_000.0),),
        ("vwap", "upper", "lower"),
        "session",
        "West (1979), Communications of the ACM 22/9",
        _opener(VwapBands.over),
    ),
    OwnFunction(
        "SESSION_RANGE",
        "Session's open, high and low, and its opening range",
        ("open", "high", "low", "time", "session"),
        (Param("minutes", 30, 1, 1_440),),
        ("session_open", "session_high", "session_low", "opening_high", "opening_low"),
        "session",
        "Crabel (1990), Day Trading with Short Term Price Patterns and Opening Range Breakout",
        _opener(SessionRange.over),
    ),
    _pivots(
        "PIVOT_CLASSIC",
        "Pivot points, floor traders'",
        _PIVOT_LEVELS,
        "TradingView, Pivot Points Standard (Traditional)",
        pivots.open_classic,
    ),
    _pivots(
        "PIVOT_FIBONACCI",
        "Pivot points, Fibonacci",
        _PIVOT_LEVELS,
        "StockCharts ChartSchool, Pivot Points",
        pivots.open_fibonacci,
    ),
    _pivots(
        "PIVOT_CAMARILLA",
        "Pivot points, Camarilla",
        _CAMARILLA_LEVELS,
        "Scott, Camarilla Equation; TradingView, Pivot Points Standard",
        pivots.open_camarilla,
    ),
)

OWN: Mapping[str, OwnFunction] = MappingProxyType(
    {function.name: function for function in (*_OF_SESSIONS, _ICHIMOKU, *_VOLATILITIES, *_STATISTICS)}
)
