"""Volume-weighted average price: the one indicator of the plan that TA-Lib lacks."""

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
VWAP = "VWAP"


class Vwap:
    """Sum of typical price times volume over sum of volume, since the first bar that it was opened over.

    Typical price = (high + low + close) / 3. No value (NaN) while no volume was traded. Opening over n bars equals
    opening over one and updating n - 1 times bit for bit: both add in the bars' order.
    Source: Berkowitz, Logue, Noser, The Total Cost of Transactions on the NYSE (Journal of Finance, 1988), on bars
    instead of trades, with the typical price standing for a bar's trades as charting packages do.
    """

    __slots__ = ("_paid", "_volume", "value")

    def __init__(self, paid: float, volume: float) -> None:
        self._paid, self._volume = paid, volume
        self.value = _ratio(paid, volume)

    @classmethod
    def over(cls, high: F64, low: F64, close: F64, volume: F64) -> "Vwap":
        """Open it over a history: all oldest first, of one length, at least one bar."""
        paid = (high + low + close) / 3.0 * volume
        # accumulate adds one by one; np.sum adds in pairs and would differ in the last bit from update().
        return cls(float(np.add.accumulate(paid)[-1]), float(np.add.accumulate(volume)[-1]))

    def update(self, high: float, low: float, close: float, volume: float) -> float:
        """Take the next bar in and return the new value."""
        self._paid += (high + low + close) / 3.0 * volume
        self._volume += volume
        self.value = _ratio(self._paid, self._volume)
        return self.value

    def peek(self, high: float, low: float, close: float, volume: float) -> float:
        """Return the value that update() would give, and change nothing."""
        return _ratio(self._paid + (high + low + close) / 3.0 * volume, self._volume + volume)

    def copy(self) -> "Vwap":
        """Return an independent one in the same state."""
        return Vwap(self._paid, self._volume)


def _ratio(paid: float, volume: float) -> float:
    return paid / volume if volume > 0 else float("nan")
