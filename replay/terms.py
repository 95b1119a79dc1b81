"""What the settings and the symbol table say of when a bar closes."""

from collections.abc import Collection
from typing import NamedTuple

from common.messages import TIMEFRAME_MS
from common.settings import Settings
from common.symbols import SymbolTable
from features.rules import delay_ms


class Lane(NamedTuple):
    """One series of bars: the beginning of their rows."""

    symbol: str
    source_class: str
    timeframe: str

    @property
    def bar_ms(self) -> int:
        """Return the length of its bars."""
        return TIMEFRAME_MS[self.timeframe]


class Terms(NamedTuple):
    """What both sides agree on."""

    table: SymbolTable
    settings: Settings
    lead_in_ms: int | None = None
    """Stream time at which a shortened replay begins; None: it begins where nothing had been before."""

    def lanes(self, names: Collection[str]) -> list[Lane]:
        """Return all lanes of these symbols, of every class that may feed them."""
        return [
            Lane(name, source_class, timeframe)
            for name in names
            for source_class in sorted({self.table.symbols[name].series, *self.table.symbols[name].may_feed()})
            for timeframe in self.settings.timeframes
        ]

    def closes_ms(self, lane: Lane, open_ms: int) -> int:
        """Return the stream time from which on a bar is closed."""
        lateness_ms = int(self.settings.lateness * 1000)
        return open_ms + lane.bar_ms + self._delay_ms(lane.symbol, lane.source_class) + lateness_ms

    def first_built_ms(self, symbol: str, source_class: str) -> int:
        """Return the open time of the first bar that the replay builds whole."""
        return 0 if self.lead_in_ms is None else self.lead_in_ms - self._delay_ms(symbol, source_class)

    def _delay_ms(self, symbol: str, source_class: str) -> int:
        return delay_ms(self.table.symbols[symbol], source_class, self.settings)
