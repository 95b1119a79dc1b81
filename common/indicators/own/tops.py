"""The highest of the last so many prices, for several periods at once."""

from math import inf


class Tops:
    """The highest of the last prices over each of the periods; infinite where one of the prices is not a number."""

    __slots__ = ("_periods", "_prices", "value")

    def __init__(self, prices: list[float], periods: tuple[int, ...]) -> None:
        """`prices`: as many as the longest period, oldest first. periods: in bars."""
        self._prices, self._periods = [_known(price) for price in prices], periods
        self.value = [max(self._prices[-period:]) for period in periods]

    def update(self, price: float) -> list[float]:
        """Take the next price in and return the new tops."""
        self.value = self.peek(price)
        self._prices.append(_known(price))
        del self._prices[0]
        return self.value

    def peek(self, price: float) -> list[float]:
        """Return the tops that update() would give, and change nothing."""
        prices, newest = self._prices, _known(price)
        return [
            # Only where the top itself drops out is there anything to look for.
            newest if newest >= top else top if prices[-period] != top else max(newest, *prices[1 - period :])
            for period, top in zip(self._periods, self.value, strict=True)
        ]

    def copy(self) -> "Tops":
        """Return an independent one in the same state."""
        return Tops(self._prices, self._periods)


def _known(price: float) -> float:
    return inf if price != price else price  # noqa: PLR0124  # only NaN differs from itself; isnan() costs a call
