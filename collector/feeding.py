"""Which class feeds each series, as a cycle sees it: who came and went, whom to ask, and what else to try."""

from collections.abc import Mapping, Sequence

from collector.active import Active
from collector.choose import batches, choose
from collector.news import News
from collector.publish import Publisher
from collector.source import Source, read_views
from collector.statuses import Statuses
from collector.terminal import Terminal
from collector.vendors.base import Ask
from common.redis_link import Command, Link
from common.sessions import is_open, next_open_ms
from common.symbols import TERMINAL, Listing


class Feeding:
    """The classes' part of a cycle."""

    def __init__(
        self, active: Active, terminal: Terminal, sources: Mapping[str, Source], publisher: Publisher, link: Link,
        symbols: Sequence[str],
    ) -> None:  # fmt: skip
        self._active, self._terminal, self._sources = active, terminal, sources
        self._publisher, self._link, self._symbols = publisher, link, tuple(symbols)
        self._trying = False

    def open(self) -> None:
        """Go back to what was committed."""
        self._active.restore(self._publisher.states)
        self._terminal.open(self._publisher.states)
        self._trying = False

    def begin(self, statuses: Statuses, now_ms: int) -> int:
        """Take what the terminal has sent and make the changes that are due. Returns how many batches it had sent."""
        taken = self._terminal.take()
        self._active.stand(statuses.all(), now_ms)
        self._active.decide(self._publisher, now_ms, lambda: read_views(self._sources, self._link, now_ms))
        for symbol in self._symbols:
            if not self.listings(symbol):
                self._stand_of_terminal(symbol, statuses, now_ms)
        return taken

    def class_of(self, symbol: str) -> str:
        """Return the class that feeds the symbol's series."""
        return self._active.class_of(symbol)

    def session_of(self, symbol: str) -> str:
        """Return that class's trading session."""
        return self._active.session_of(symbol)

    def listings(self, symbol: str) -> tuple[Listing, ...]:
        """Return the listings to ask for the symbol's price; none while only the terminal quotes it."""
        return self._active.listings(symbol)

    def writes(self, partition: int) -> list[Command]:
        """Return what commits the classes' records with a cycle."""
        return self._active.writes(partition)

    def _stand_of_terminal(self, symbol: str, statuses: Statuses, now_ms: int) -> None:
        session = self.session_of(symbol)
        if not is_open(session, now_ms):
            statuses.closed(symbol, next_open_ms(session, now_ms), now_ms)
        elif self._active.is_present(symbol, now_ms):
            statuses.served(symbol, TERMINAL, now_ms)
        else:
            statuses.withheld(symbol, f"{TERMINAL}: silent", now_ms)

    # -- the other classes -------------------------------------------------------------------------

    async def try_others(self, now_ms: int) -> list[News]:
        """Ask classes that do not feed a series now for a price, where that is due, and note what comes of it.

        What they say is stored under their class; it enters no series.
        """
        if self._trying:
            return []
        self._trying = True
        try:
            return await self._try(self._active.to_try(now_ms), {}, now_ms)
        finally:
            self._trying = False

    async def _try(
        self, wanted: Mapping[str, Sequence[Listing]], tried: Mapping[str, frozenset[str]], now_ms: int
    ) -> list[News]:
        if not wanted:
            return []
        found: list[News] = []
        failed: dict[str, frozenset[str]] = {}
        choice = choose(wanted, read_views(self._sources, self._link, now_ms), tried, now_ms)
        for symbol in choice.withheld:
            self._active.tried(symbol, wanted[symbol][0].source_class, served=False, now_ms=now_ms)
        for group in choice.groups:
            source = self._sources[group.source]
            for asks in batches(group.asks, source.vendor.batch):
                answer = await source.latest(asks, source.admit(), group.purpose)
                found.append(News(source.name, answer.received_ms, answer.quotes))
                self._note_served([ask for ask in asks if ask.symbol not in answer.failed], now_ms)
                failed |= {symbol: tried.get(symbol, frozenset()) | {source.name} for symbol in answer.failed}
        return found + await self._try({symbol: wanted[symbol] for symbol in failed}, failed, now_ms)

    def _note_served(self, asks: Sequence[Ask], now_ms: int) -> None:
        for ask in asks:
            self._active.tried(ask.symbol, ask.source_class, served=True, now_ms=now_ms)
