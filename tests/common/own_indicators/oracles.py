"""Other people's implementations, as functions from arrays to arrays, NaN where they have no value.

Their warnings are their own: pandas-ta-classic uses what pandas 3 deprecates, nolds has escapes that are none.
"""

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import wickra
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@cache
def pandas_ta() -> ModuleType:
    """Return pandas-ta-classic."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("pandas_ta_classic")


@cache
def nolds_measures() -> ModuleType:
    """Return nolds' measures without the package around them: nolds 0.6.3 can't be imported on Python 3.11."""
    package = importlib.util.find_spec("nolds")
    assert package is not None
    assert package.origin is not None
    spec = importlib.util.spec_from_file_location("nolds_measures", Path(package.origin).with_name("measures.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec.loader.exec_module(module)
    return module


def hurst(values: F64, lags: Sequence[int]) -> float:
    """Return nolds' generalised Hurst exponent by Barabasi and Vicsek, q = 2. It leaves zero differences out."""
    return float(nolds_measures().mfhurst_b(values, qvals=[2], dists=list(lags))[0])


def pivots(bars: Mapping[str, F64], method: str) -> dict[str, F64]:
    """Return pandas-ta-classic's pivots of intraday bars whose sessions are UTC days."""
    pandas = import_module("pandas")
    index = pandas.to_datetime(bars["time"], unit="ms")
    columns = [pandas.Series(bars[name], index=index) for name in ("open", "high", "low", "close")]
    table = pandas_ta().cpr(*columns, method=method, timeframe="intraday", levels="all")
    return {name.removeprefix("CPR_").lower(): table[name].to_numpy() for name in table.columns}


def vwap(bars: Mapping[str, F64]) -> F64:
    """Return pandas-ta-classic's VWAP of sessions that are UTC days."""
    pandas = import_module("pandas")
    index = pandas.to_datetime(bars["time"], unit="ms")
    columns = [pandas.Series(bars[name], index=index) for name in ("high", "low", "close", "volume")]
    return np.asarray(pandas_ta().vwap(*columns, anchor="D"), dtype=np.float64)


def ichimoku(bars: Mapping[str, F64]) -> dict[str, F64]:
    """Return pandas-ta-classic's Ichimoku of 9, 26, 52 over the bars and, of the cloud, the 26 bars after them."""
    pandas = import_module("pandas")
    columns = [pandas.Series(bars[name]) for name in ("high", "low", "close")]
    table = pandas_ta().ichimoku(*columns, as_dataframe=True, append_span=True)
    names = {"ITS_9": "tenkan", "IKS_26": "kijun", "ISA_9": "senkou_a", "ISB_26": "senkou_b"}
    return {ours: table[theirs].to_numpy() for theirs, ours in names.items()}


def close_volatility(close: F64, timeperiod: int, periods_per_year: int) -> F64:
    """Return pandas-ta-classic's historical volatility, which is in per cent, as a fraction."""
    series = import_module("pandas").Series(close)
    found = pandas_ta().hvol(series, length=timeperiod, annualization=periods_per_year)
    return np.asarray(found, dtype=np.float64) / 100.0


def matrix(found: wickra.Matrix) -> F64:
    """Return wickra's rows as columns of an array."""
    return np.array(found.tolist()).T
