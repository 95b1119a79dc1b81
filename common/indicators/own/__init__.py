"""The indicators that TA-Lib lacks, with the interface of its stream handles."""

from common.indicators.own.catalogue import OwnFunction, Param
from common.indicators.own.functions import OWN

__all__ = ["OWN", "OwnFunction", "Param"]
