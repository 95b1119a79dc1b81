"""Begin in the middle: the engine as a restart finds it, its bar caches filled from the stored bars.

The bars that were open then are among them, as they closed: quotes of theirs that still come are late, and change
nothing. The validator begins with nothing, and the bars are those of today; so what comes out is nearly always equal,
and less of it is promised.
"""

from collections.abc import Iterator

from common import keys
from common.bars import pack
from common.history import read_bars
from common.redis_link import Command
from common.symbols import Symbol
from features.coverage import NOT_COVERED
from features.state import CLOCK_FIELD, SymbolState, encode_value, symbol_field
from replay.line import PARTITION
from replay.record import Record
from replay.terms import Terms
from storer.rebuild import Id


def seed(record: Record, partition: int, at: Id, terms: Terms) -> list[Command]:
    """Return what Redis would have held of the engine after a clock entry."""
    clock = record.clock(partition, at)
    changed = record.series(partition, at)
    fields: list[str | bytes] = [CLOCK_FIELD, encode_value(clock)]
    commands: list[Command] = []
    for symbol in terms.table.symbols.values():
        source_class, anew_ms = changed.get(symbol.name, (symbol.series, None))
        if source_class not in symbol.may_feed():
            continue
        signalled = record.signalled(symbol.name, clock.now_ms)
        live = record.live(symbol.name, clock.now_ms)
        state = SymbolState(source_class, NOT_COVERED, {}, signalled, None, symbol.series, anew_ms, live=live)
        fields += [symbol_field(symbol.name), encode_value(state)]
        commands += _caches(record, symbol, source_class, terms)
    return [("HSET", keys.state(PARTITION, "features"), *fields), *commands]


def _caches(record: Record, symbol: Symbol, source_class: str, terms: Terms) -> Iterator[Command]:
    kept = terms.settings.max_bars_cache + terms.settings.anchor_bars
    before_ms = terms.first_built_ms(symbol.name, source_class)
    for timeframe in terms.settings.timeframes:
        bars = read_bars(record.connection, symbol.name, source_class, timeframe, before_ms, kept)
        if bars:
            yield ("RPUSH", keys.bar_cache(PARTITION, symbol.name, timeframe), *map(pack, bars))
