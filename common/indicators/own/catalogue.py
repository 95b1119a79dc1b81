"""The catalogue of the indicators that TA-Lib lacks: what each takes, gives and rests on, and how it is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from common.indicators.columns import F64, Column
from common.indicators.function import Memory, Params, Running


@dataclass(frozen=True)
class Param:
    """One parameter: a whole number if its default is one."""

    name: str
    default: int | float
    least: int | float
    most: int | float

    def check(self, value: object) -> None:
        """Raise ValueError with what was expected and found, unless the value is allowed."""
        whole = isinstance(self.default, int)
        kinds = (int,) if whole else (int, float)
        # The comparisons are false for NaN, too; True and False are whole numbers to Python, not to us.
        if isinstance(value, bool) or not (isinstance(value, kinds) and self.least <= value <= self.most):
            kind = "a whole number" if whole else "a number"
            raise ValueError(f"{self.name}: expected {kind} from {self.least} to {self.most}, found {value!r}")


@dataclass(frozen=True)
class OwnFunction:
    """One function of the bars."""

    name: str
    title: str
    inputs: tuple[Column, ...]
    """In the order in which open, update and peek take them."""
    limits: tuple[Param, ...]
    outputs: tuple[str, ...]
    """With one, the value is a float; with several, a tuple in this order."""
    memory: Memory
    source: str
    opener: Callable[..., Running]
    """Takes the columns, and every parameter by name; `open` checks and completes them for it."""
    bars_before: Callable[[Params], int] = lambda _: 0
    """All parameters -> the lookback."""
    ascending: tuple[str, ...] = ()
    """Parameters none of which may be less than the one before it."""

    @cached_property
    def params(self) -> Params:
        """Name -> default."""
        return MappingProxyType({limit.name: limit.default for limit in self.limits})

    def check(self, params: Params) -> None:
        """Raise ValueError with what was expected and found, unless these can be given to `open`."""
        unknown = sorted(params.keys() - self.params.keys())
        if unknown:
            raise ValueError(f"{self.name}: expected parameters out of {sorted(self.params)}, found {unknown}")
        for limit in self.limits:
            if limit.name in params:
                limit.check(params[limit.name])
        self._check_order({**self.params, **params})

    def lookback(self, params: Params = MappingProxyType({})) -> int:
        """Return how many bars there must be before the first one that can have a value."""
        self.check(params)
        return self.bars_before({**self.params, **params})

    def open(self, *columns: F64, **params: float) -> Running:
        """Return the function's running state over a history: contiguous, oldest first, lookback + 1 bars or more.

        ValueError says what was expected and found where parameters, columns or history are not such.
        """
        needed = self.lookback(params) + 1
        lengths = [len(column) for column in columns]
        if len(columns) != len(self.inputs) or len(set(lengths)) != 1 or lengths[0] < needed:
            raise ValueError(f"{self.name}: expected {self.inputs} of one length from {needed}, found {lengths}")
        return self.opener(*columns, **{**self.params, **params})

    def _check_order(self, params: Params) -> None:
        values = [params[name] for name in self.ascending]
        if values != sorted(values):
            raise ValueError(f"{self.name}: expected {' <= '.join(self.ascending)}, found {values}")
