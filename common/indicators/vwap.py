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

    def __init__(self, high: F64, low: F64, close: F64, volume: F64) -> None:
        """All oldest first, of one length, at least one bar."""
        paid = (high + low + close) / 3.0 * volume
        # accumulate adds one by one; np.sum adds in pairs and would differ in the last bit from update().
        self._paid = float(np.add.accumulate(paid)[-1])
        self._volume = float(np.add.accumulate(volume)[-1])
        self.value = _ratio(self._paid, self._volume)

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
        twin = Vwap.__new__(Vwap)
        twin._paid, twin._volume, twin.value = self._paid, self._volume, self.value
        return twin


def _ratio(paid: float, volume: float) -> float:
    return paid / volume if volume > 0 else float("nan")
