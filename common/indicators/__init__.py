"""Indicators of closed bars: what is computed (the plan, data) and the running objects behind one lane's values."""

from common.indicators.handles import Candle, Columns, Handle, open_handle
from common.indicators.plan import PLAN, Indicator, longest_lookback, names_of
from common.indicators.session import SessionClock

__all__ = [
    "PLAN",
    "Candle",
    "Columns",
    "Handle",
    "Indicator",
    "SessionClock",
    "longest_lookback",
    "names_of",
    "open_handle",
]
