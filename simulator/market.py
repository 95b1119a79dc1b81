"""All instruments and their time: generated, or replayed from recorded prices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog

from common.errors import Fatal
from common.symbols import SymbolTable
from simulator.csv_source import Recording, combine, find_files, read, symbol_of
from simulator.generator import GeneratedSeries, Walk, lattice_of
from simulator.instruments import Instrument, Listings, listings, terms_of
from simulator.path import weekly_activity
from simulator.replay import Offset, ReplaySeries, ticks_of
from simulator.ticks import NO_BARS, Bars, Series, Sight, Snapshot
from simulator.timeline import Moment, Timeline

log = structlog.get_logger()

_TAIL_MS = 10_000
"""Time goes on so long after the last bar is complete, so that whoever waits for late ticks can close it."""

Key = tuple[str, str]
"""Generic symbol and class."""


@dataclass(frozen=True)
class Market:
    """What the vendors can be asked about, and when."""

    timeline: Timeline
    listings: Listings
    series: Mapping[Key, Series]
    late: bool
    """The vendors' delays hold."""

    def view(self, cycle: int) -> "View":
        """Return the market as it stands in one cycle."""
        return View(self, self.timeline.at(cycle))


@dataclass(frozen=True)
class View:
    """The market as it stands in one cycle."""

    market: Market
    moment: Moment
    price_factor: float = 1.0
    """Other than 1: what vendors tell is wrong by this factor."""

    @property
    def now_ms(self) -> int:
        """The simulated time."""
        return self.moment.now_ms

    def delay_ms(self, instrument: Instrument) -> int:
        """Return how late the vendor serves this instrument now."""
        return instrument.delay_ms if self.market.late else 0

    def _sight(self, instrument: Instrument) -> Sight:
        return Sight(self.now_ms - self.delay_ms(instrument), self.moment.ordinal)

    def snapshot(self, instrument: Instrument) -> Snapshot | None:
        """Return the newest tick that can be seen; None before the first one."""
        found = self.market.series[instrument.symbol, instrument.source_class].snapshot(self._sight(instrument))
        return found if found is None or self.price_factor == 1.0 else _falsified(found, self.price_factor)

    def bars(self, instrument: Instrument, width_ms: int, from_ms: int, to_ms: int) -> Bars:
        """Return the bars that open in [from_ms, to_ms) and can be seen, the forming one included."""
        sight = self._sight(instrument)
        if to_ms <= from_ms or from_ms > sight.until_ms:
            return NO_BARS
        return self.market.series[instrument.symbol, instrument.source_class].bars(width_ms, from_ms, to_ms, sight)


def _falsified(snapshot: Snapshot, factor: float) -> Snapshot:
    return snapshot._replace(
        price=round(snapshot.price * factor, 5),
        bid=round(snapshot.bid * factor, 5),
        ask=round(snapshot.ask * factor, 5),
    )


def generated(table: SymbolTable, *, seed: int, start_ms: int, interval_ms: int, late: bool) -> Market:
    """Return a market of seeded prices that begins at start_ms and never ends."""
    found = listings(table)
    lattice = lattice_of(start_ms, interval_ms)
    walks: dict[str, Walk] = {}
    for name in table.symbols:
        session = table.session_of(name)
        walks[name] = Walk(name, seed, start_ms, weekly_activity(session))
    series: dict[Key, Series] = {}
    for instrument in _instruments(found):
        key = (instrument.symbol, instrument.source_class)
        if key not in series:
            terms = terms_of(instrument.source_class, table.symbols[instrument.symbol].tick_size)
            series[key] = GeneratedSeries(instrument, terms, walks[instrument.symbol], lattice, seed)
    return Market(Timeline(start_ms, interval_ms), found, series, late)


def replayed(
    table: SymbolTable, paths: Sequence[Path], *, interval_ms: int, late: bool, start_ms: int | None = None
) -> Market:
    """Return a market of recorded prices. Symbols without a recording are not listed by any vendor."""
    recordings = _recordings(table, paths)
    found = {
        vendor: {name: one for name, one in own.items() if one.symbol in recordings}
        for vendor, own in listings(table).items()
    }
    series: dict[Key, ReplaySeries] = {}
    for instrument in _instruments(found):
        key = (instrument.symbol, instrument.source_class)
        if key not in series:
            series[key] = _replay_series(table, recordings[instrument.symbol], instrument)
    timeline = _replay_timeline(found, series, list(recordings.values()), interval_ms, late, start_ms)
    return Market(timeline, found, series, late)


def _instruments(found: Listings) -> list[Instrument]:
    return [instrument for own in found.values() for instrument in own.values()]


def _recordings(table: SymbolTable, paths: Sequence[Path]) -> dict[str, Recording]:
    parts: dict[str, list[Recording]] = {}
    for file in find_files(paths):
        symbol = symbol_of(file)
        if symbol in table.symbols:
            parts.setdefault(symbol, []).append(read(file))
        else:
            log.warning("simulator.file_skipped", file=str(file), symbol=symbol, symbols=list(table.symbols))
    if not parts:
        raise Fatal(f"{', '.join(map(str, paths))}: expected files of {', '.join(table.symbols)}, found none")
    for symbol in sorted(table.symbols.keys() - parts.keys()):
        log.warning("simulator.symbol_without_data", symbol=symbol)
    return {symbol: combine(found) for symbol, found in parts.items()}


def _replay_series(table: SymbolTable, recording: Recording, instrument: Instrument) -> ReplaySeries:
    symbol = table.symbols[instrument.symbol]
    own, other = terms_of(symbol.series, symbol.tick_size), terms_of(instrument.source_class, symbol.tick_size)
    offset = None if instrument.source_class == symbol.series else Offset(own, other)
    return ReplaySeries(ticks_of(recording, instrument, offset), other)


def _replay_timeline(
    found: Listings,
    series: Mapping[Key, ReplaySeries],
    recordings: Sequence[Recording],
    interval_ms: int,
    late: bool,  # passed on
    start_ms: int | None,
) -> Timeline:
    """Return a timeline in which no tick of any instrument, as late as its vendor is, is overtaken unseen."""
    begin = min(int(one.market_ms[0]) for one in recordings) - interval_ms if start_ms is None else start_ms
    delays = {(one.symbol, one.source_class, one.delay_ms if late else 0) for one in _instruments(found)}
    feeds = [series[symbol, source_class].ticks.market_ms + delay for symbol, source_class, delay in sorted(delays)]
    last = max(one.end_ms for one in recordings) + max(delay for *_, delay in delays) + _TAIL_MS
    if last <= begin:
        raise Fatal(f"--start: expected a time before the end of the data ({last} ms), found {begin} ms")
    return Timeline(begin, interval_ms, [feed[np.searchsorted(feed, begin, "right") :] for feed in feeds], last)
