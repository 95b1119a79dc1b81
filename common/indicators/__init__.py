"""Indicators of closed bars: what can be computed (the catalogue), and what is (the plan, data)."""

from common.indicators.catalogue import catalogue, nearest
from common.indicators.columns import COLUMNS, F64, NAN, Cells, Columns
from common.indicators.function import Function, Running
from common.indicators.plan import CONVERGENCE, Indicator, Plan, indicator
from common.indicators.plan_file import load_plan, parse_plan
from common.indicators.program import Program
from common.indicators.running import RunningSet
from common.indicators.session import SessionClock

__all__ = [
    "COLUMNS",
    "CONVERGENCE",
    "F64",
    "NAN",
    "Cells",
    "Columns",
    "Function",
    "Indicator",
    "Plan",
    "Program",
    "Running",
    "RunningSet",
    "SessionClock",
    "catalogue",
    "indicator",
    "load_plan",
    "nearest",
    "parse_plan",
]
