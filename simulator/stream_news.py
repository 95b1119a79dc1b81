"""Which ticks are new in a cycle."""

from collections.abc import Collection
from dataclasses import replace

from simulator.dialogue import News
from simulator.instruments import Instrument
from simulator.market import Market
from simulator.sessions import is_open
from simulator.ticks import Snapshot

Identity = tuple[int, int]


def _identity(snapshot: Snapshot | None) -> Identity | None:
    return None if snapshot is None else (snapshot.number, snapshot.market_ms)


class Desk:
    """The news of the newest cycle. Remembers what was newest in it, since the next cycle is compared with that."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._cycle = 0
        self._view = self._view_before = market.view(0)
        self._newest: dict[Instrument, Identity | None] = {}
        self._before: dict[Instrument, Identity | None] = {}
        self._found: dict[Instrument, Snapshot | None] = {}

    def turn_to(self, cycle: int) -> None:
        """Begin a cycle; the one after the last is cheapest, any other gives the same news."""
        self._before = self._newest if cycle == self._cycle + 1 else {}
        self._cycle, self._newest, self._found = cycle, {}, {}
        self._view, self._view_before = self._market.view(cycle), self._market.view(cycle - 1)

    def news(self, vendor: str, symbols: Collection[str]) -> News:
        """Return the news of these symbols of a vendor. Of a closed market there are none."""
        own = self._market.listings[vendor]
        fresh = {symbol: snapshot for symbol in symbols if (snapshot := self._fresh(own[symbol])) is not None}
        return News(self._view, self._view_before, fresh)

    def falsified(self, vendor: str, news: News, factor: float) -> News:
        """Return the news with prices that are wrong by a factor."""
        own = self._market.listings[vendor]
        view = replace(news.view, price_factor=factor)
        found = {symbol: view.snapshot(own[symbol]) for symbol in news.fresh}
        return News(view, news.before, {symbol: one for symbol, one in found.items() if one is not None})

    def _fresh(self, instrument: Instrument) -> Snapshot | None:
        if instrument not in self._found:
            self._found[instrument] = self._compared(instrument)
        return self._found[instrument]

    def _compared(self, instrument: Instrument) -> Snapshot | None:
        """Return the newest tick if it is another one than in the cycle before."""
        if instrument not in self._before:  # the older first: going back is dear
            self._before[instrument] = _identity(self._view_before.snapshot(instrument))
        snapshot = self._view.snapshot(instrument)
        self._newest[instrument] = _identity(snapshot)
        if snapshot is None or self._newest[instrument] == self._before[instrument]:
            return None
        return snapshot if is_open(instrument.session, snapshot.market_ms) else None
