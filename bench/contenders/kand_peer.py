"""kand: functions in Rust that take the state of the bar before and give that after it.

To keep the state, and the bars that leave a window, is the caller's: here in closures, as cheaply as Python can.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import kand
import numpy as np

from bench.contenders.market import HISTORY, SPAN, Series
from bench.contenders.steps import Outputs
from common.indicators import F64, Indicator, Plan


class Follower(NamedTuple):
    """One indicator of one symbol."""

    update: Callable[..., Outputs]
    peek: Callable[..., Outputs]


def _averaged(inc: Callable[..., float], whole: Callable[..., F64], period: int, close: F64) -> Follower:
    """Follow a function whose value is its state, beside the price that leaves the window."""
    value, past = float(whole(close, period)[-1]), deque(close[-period:].tolist(), period)

    def peek(price: float) -> float:
        return inc(value, price, past[0], period)

    def update(price: float) -> float:
        nonlocal value
        value = inc(value, price, past[0], period)
        past.append(price)
        return value

    return Follower(update, peek)


def _ema(period: int, close: F64) -> Follower:
    value = float(kand.ema(close, period)[-1])

    def peek(price: float) -> float:
        return float(kand.ema_inc(price, value, period))

    def update(price: float) -> float:
        nonlocal value
        value = float(kand.ema_inc(price, value, period))
        return value

    return Follower(update, peek)


def _rsi(period: int, close: F64) -> Follower:
    _, gains, losses = kand.rsi(close, period)
    last, gain, loss = float(close[-1]), float(gains[-1]), float(losses[-1])

    def peek(price: float) -> float:
        return float(kand.rsi_inc(price, last, gain, loss, period)[0])

    def update(price: float) -> float:
        nonlocal last, gain, loss
        value, gain, loss = kand.rsi_inc(price, last, gain, loss, period)
        last = price
        return float(value)

    return Follower(update, peek)


def _macd(fast: int, slow: int, signal: int, close: F64) -> Follower:
    _, lines, _, fasts, slows = kand.macd(close, fast, slow, signal)
    quick, late, line = float(fasts[-1]), float(slows[-1]), float(lines[-1])

    def peek(price: float) -> Outputs:
        found: tuple[float, ...] = kand.macd_inc(price, quick, late, line, fast, slow, signal)
        return found

    def update(price: float) -> Outputs:
        nonlocal quick, late, line
        found: tuple[float, ...] = kand.macd_inc(price, quick, late, line, fast, slow, signal)
        # It does not give its averages back, so that they are worked out once more.
        quick, late, line = kand.ema_inc(price, quick, fast), kand.ema_inc(price, late, slow), found[1]
        return found

    return Follower(update, peek)


def _cci(period: int, high: F64, low: F64, close: F64) -> Follower:
    average = float(kand.cci(high, low, close, period)[2][-1])
    bars = zip(*(column[-period:].tolist() for column in (high, low, close)), strict=True)
    past = deque(bars, period)
    typical = deque(((top + bottom + last) / 3.0 for top, bottom, last in past), period)

    def peek(*bar: float) -> float:
        return float(kand.cci_inc(average, *bar, *past[0], period, list(typical)))

    def update(*bar: float) -> float:
        nonlocal average
        value = kand.cci_inc(average, *bar, *past[0], period, list(typical))
        newest = (bar[0] + bar[1] + bar[2]) / 3.0
        average = kand.sma_inc(average, newest, typical[0], period)
        past.append((bar[0], bar[1], bar[2]))
        typical.append(newest)
        return float(value)

    return Follower(update, peek)


def _changed(inc: Callable[[float, float], float], period: int, close: F64) -> Follower:
    """Follow a function of the price now and then."""
    past = deque(close[-period:].tolist(), period)

    def peek(price: float) -> float:
        return inc(price, past[0])

    def update(price: float) -> float:
        value = inc(price, past[0])
        past.append(price)
        return value

    return Follower(update, peek)


def _directed(
    inc: Callable[..., tuple[float, ...]],
    whole: Callable[..., Sequence[F64]],
    states: slice,
    period: int,
    high: F64,
    low: F64,
    close: F64,
) -> Follower:
    """Follow a function of directional movement. states: which of its outputs it takes back."""
    state = [float(series[-1]) for series in whole(high, low, close, period)][states]
    last = float(high[-1]), float(low[-1]), float(close[-1])

    def peek(*bar: float) -> float:
        return inc(bar[0], bar[1], *last, *state, period)[0]

    def update(*bar: float) -> float:
        nonlocal last, state
        found = inc(bar[0], bar[1], *last, *state, period)
        last, state = (bar[0], bar[1], bar[2]), list(found[states])
        return found[0]

    return Follower(update, peek)


def _supertrend(period: int, multiplier: float, high: F64, low: F64, close: F64) -> Follower:
    trends, _, averages, uppers, lowers = kand.supertrend(high, low, close, period, multiplier)
    last = float(close[-1])
    average, trend, upper, lower = float(averages[-1]), int(trends[-1]), float(uppers[-1]), float(lowers[-1])

    def peek(*bar: float) -> Outputs:
        way, value, *_ = kand.supertrend_inc(*bar, last, average, trend, upper, lower, period, multiplier)
        return value, way / 100.0

    def update(*bar: float) -> Outputs:
        nonlocal last, average, trend, upper, lower
        trend, value, average, upper, lower = kand.supertrend_inc(
            *bar, last, average, trend, upper, lower, period, multiplier
        )
        last = bar[2]
        return value, trend / 100.0

    return Follower(update, peek)


def _atr(period: int, high: F64, low: F64, close: F64) -> Follower:
    value, last = float(kand.atr(high, low, close, period)[-1]), float(close[-1])

    def peek(*bar: float) -> float:
        return float(kand.atr_inc(bar[0], bar[1], last, value, period))

    def update(*bar: float) -> float:
        nonlocal value, last
        value = float(kand.atr_inc(bar[0], bar[1], last, value, period))
        last = bar[2]
        return value

    return Follower(update, peek)


def _stddev(period: int, close: F64) -> Follower:
    total, squares = (float(series[-1]) for series in kand.stddev(close, period)[1:])
    past = deque(close[-period:].tolist(), period)

    def peek(price: float) -> float:
        return float(kand.stddev_inc(price, total, squares, past[0], period)[0])

    def update(price: float) -> float:
        nonlocal total, squares
        value, total, squares = kand.stddev_inc(price, total, squares, past[0], period)
        past.append(price)
        return float(value)

    return Follower(update, peek)


def _bbands(period: int, width: float, close: F64) -> Follower:
    _, _, _, averages, _, totals, sums = kand.bbands(close, period, width, width)
    average, total, squares = float(averages[-1]), float(totals[-1]), float(sums[-1])
    past = deque(close[-period:].tolist(), period)

    def peek(price: float) -> Outputs:
        upper, middle, lower, *_ = kand.bbands_inc(price, average, total, squares, past[0], period, width, width)
        return upper, middle, lower

    def update(price: float) -> Outputs:
        nonlocal average, total, squares
        upper, middle, lower, average, total, squares = kand.bbands_inc(
            price, average, total, squares, past[0], period, width, width
        )
        past.append(price)
        return upper, middle, lower

    return Follower(update, peek)


def _obv(close: F64, volume: F64) -> Follower:
    value, last = float(kand.obv(close, volume)[-1]), float(close[-1])

    def peek(price: float, traded: float) -> float:
        return float(kand.obv_inc(price, last, traded, value))

    def update(price: float, traded: float) -> float:
        nonlocal value, last
        value = float(kand.obv_inc(price, last, traded, value))
        last = price
        return value

    return Follower(update, peek)


def _sma(period: int) -> Callable[..., Follower]:
    return partial(_averaged, kand.sma_inc, kand.sma, period)


OFFERS: dict[str, Callable[..., Follower]] = {
    "sma_20": _sma(20), "sma_50": _sma(50), "sma_200": _sma(200), "volume_sma_20": _sma(20),
    **{f"ema_{n}": partial(_ema, n) for n in (9, 20, 50, 200)},
    "rsi_14": partial(_rsi, 14), "macd": partial(_macd, 12, 26, 9), "cci_20": partial(_cci, 20),
    "momentum": partial(_changed, kand.mom_inc, 10), "roc_10": partial(_changed, kand.roc_inc, 10),
    "adx_14": partial(_directed, kand.adx_inc, kand.adx, slice(0, 4), 14),
    "plus_di_14": partial(_directed, kand.plus_di_inc, kand.plus_di, slice(1, 3), 14),
    "supertrend": partial(_supertrend, 10, 3.0), "atr_14": partial(_atr, 14), "obv": _obv,
    "standard_deviation_20": partial(_stddev, 20), "bollinger": partial(_bbands, 20, 2.0),
}  # fmt: skip
"""By our names. The others it has not, or over a whole history only; its WILLR can't tell what leaves the window."""


def offered(plan: Plan) -> Plan:
    """Return the part of a plan that it has."""
    return Plan(tuple(one for one in plan.indicators if one.name in OFFERS))


def follow(plan: Plan, series: Series) -> list[Follower]:
    """Return all of a plan that it has, opened over the history."""
    return [_opened(one, series) for one in plan.indicators]


def values(plan: Plan, series: Series, checked: int) -> dict[str, F64]:
    """Return by our names what it gives for the first of the measured bars, so many of them."""
    assert checked <= SPAN
    found: dict[str, F64] = {}
    for one in plan.indicators:
        running = _opened(one, series)
        columns = [series.columns[ref][HISTORY : HISTORY + checked].tolist() for ref in one.inputs]
        rows = np.array([running.update(*bar) for bar in zip(*columns, strict=True)]).reshape(checked, -1)
        found |= dict(zip(one.names, rows.T, strict=True))
    return found


def _opened(one: Indicator, series: Series) -> Follower:
    return OFFERS[one.name](*(series.columns[ref][:HISTORY] for ref in one.inputs))
