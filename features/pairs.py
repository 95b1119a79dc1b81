"""An indicator over two symbols: their final bars of one timeframe, joined by the time at which they open.

A joined series is as far as both symbols are: a bar counts as soon as both have closed it. Which of them closed first
makes no difference, and a restart gives the same values bit for bit: the series begins at a bar that the lane's own
anchor determines, half a window before it, so that the other symbol's kept bars reach back as far even where it trades
in more minutes. Where they don't, there is no value.
"""

import numpy as np

from common.bars import Records
from common.indicators import NAN, Indicator, Running
from common.indicators.anchors import first_joined_bar
from common.indicators.joined import falls_short, joined
from common.indicators.running import open_running
from features.bar_window import BarWindow

FEW_BARS = 32  # looked at first: usually both symbols close bar after bar


class PairSeries:
    """The running values of one such indicator."""

    def __init__(self, indicator: Indicator, own: BarWindow, other: BarWindow) -> None:
        self._indicator, self._own, self._other = indicator, own, other
        self._running: Running | None = None
        self._versions: tuple[int, int] | None = None
        self._newest: tuple[int | None, int | None] = (None, None)
        self._start_ms = 0
        self._joined_ms = 0
        self.bars = 0
        """How many bars of both the values rest on."""
        self.values: tuple[float, ...] = self._none()

    def follow(self) -> bool:
        """Take in what both have closed since; tell whether anything may have changed."""
        newest = (self._own.last_open_ms, self._other.last_open_ms)
        versions = (self._own.version, self._other.loads)
        if newest == self._newest and versions == self._versions:
            return False
        self._newest = newest
        if versions != self._versions or self._running is None:
            self._versions = versions
            self._open()
        else:
            self._advance()
        return True

    def _open(self) -> None:
        self._running, self._joined_ms, self.bars, self.values = None, 0, 0, self._none()
        own = self._own.window()
        if not len(own):
            return
        first = first_joined_bar(self._own.anchor_place, self._own.max_bars)
        self._start_ms = int(own["open_ms"][first])
        if self._falls_short():
            return
        arrays, opens = joined(self._indicator, own[first:], self._other.records())
        self._running, self.bars = open_running(self._indicator, arrays), len(opens)
        if self._running is not None:
            self._joined_ms = int(opens[-1])
            self._show(self._running)

    def _advance(self) -> None:
        assert self._running is not None
        if self._falls_short():
            self._running, self.bars, self.values = None, 0, self._none()
            return
        own = _after(self._own, self._joined_ms)
        arrays, opens = joined(self._indicator, own, _after(self._other, self._joined_ms))
        for row in zip(*(array.tolist() for array in arrays), strict=True):
            self._running.update(*row)
        self.bars += len(opens)
        if len(opens):
            self._joined_ms = int(opens[-1])
            self._show(self._running)

    def _show(self, running: Running) -> None:
        value = running.value
        self.values = value if isinstance(value, tuple) else (value,)

    def _none(self) -> tuple[float, ...]:
        return (NAN,) * len(self._indicator.names)

    def _falls_short(self) -> bool:
        other = self._other
        return falls_short(other.first_open_ms(), len(other), other.kept_bars, self._start_ms)


def _after(window: BarWindow, at_ms: int) -> Records:
    """Return the bars that open after a time."""
    records = window.newest(FEW_BARS)
    if len(records) == FEW_BARS and int(records["open_ms"][0]) > at_ms:
        records = window.records()
    return records[int(np.searchsorted(records["open_ms"], at_ms, side="right")) :]
