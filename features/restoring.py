"""The engine as it was committed: its state, and the bar caches that its lanes rest on."""

from collections.abc import Iterator, Sequence

import msgspec
import structlog

from common import keys
from common.bars import RECORD, is_layout, unpack
from common.errors import Fatal
from common.packed_lists import packed_lists
from common.redis_link import Command, Link, flat_pairs
from features.engine import Engine
from features.state import Restored, asked_field, decode_state, symbol_field
from features.track import Slot, Track

log = structlog.get_logger()


def restore(engine: Engine, partition: int, link: Link) -> tuple[str, list[Command]]:
    """Set a new engine to what was committed; return its place in `raw`, and what drops caches that don't fit.

    Fatal if the state is not what the stage wrote.
    """
    state_key = keys.state(partition, "features")
    try:
        restored = decode_state(flat_pairs(link.call("HGETALL", state_key)))
    except msgspec.MsgspecError as e:
        raise Fatal(f"{state_key}: expected what this stage wrote, found: {e}") from e
    caches = _caches(engine, partition, link)
    writes = [
        command
        for name, track in engine.tracks.items()
        for command in _restore_symbol(engine, partition, name, restored, [next(caches) for _ in track.slots])
    ]
    engine.resume(restored.clock)
    return restored.place, writes


def _restore_symbol(
    engine: Engine, partition: int, name: str, restored: Restored, caches: Sequence[bytearray]
) -> list[Command]:
    """Restore one symbol. caches: of its lanes, the stored bars."""
    track, stored = engine.tracks[name], restored.symbols.get(name)
    usable = all(map(is_layout, caches))
    if stored is not None and stored.fits(track.symbol) and stored.series != track.source_class:
        track = engine.adopt(name, stored.series)
    if stored is None or stored.series != track.source_class or not usable:
        if track.source_class != track.symbol.series:
            engine.changes.change(track)  # which class it is must outlive the rest
        return _drop(partition, track, any(caches) or stored is not None)
    track.coverage, track.signalled, track.newest_ms = stored.coverage, dict(stored.signalled), stored.newest_ms
    track.anew_ms, track.live, track.newest_score = stored.anew_ms, stored.live, stored.newest_score
    gone: list[str] = []
    for (timeframe, slot), joined in zip(track.slots.items(), caches, strict=True):
        slot.forming = stored.forming.get(timeframe, ())
        if _is_lost(joined, stored.newest_bars.get(timeframe)):
            gone.append(keys.bar_cache(partition, name, timeframe))
            continue
        slot.asked = restored.asked.get(slot.lane.name)
        slot.lane.load(joined)
        if joined:
            engine.changes.touch(track, slot)  # the plan may have changed since these values were written
    if gone:
        log.warning("features.cache_gone", symbol=name, caches=gone, detail="asked of the database")
    return [("DEL", *gone)] if gone else []


def _caches(engine: Engine, partition: int, link: Link) -> Iterator[bytearray]:
    """Yield each lane's stored bars, joined."""
    names = [
        keys.bar_cache(partition, name, timeframe) for name, track in engine.tracks.items() for timeframe in track.slots
    ]
    return packed_lists(link, names, engine.rules.max_bars + engine.rules.anchor_bars, RECORD.itemsize)


def _drop(partition: int, track: Track, existed: bool) -> list[Command]:
    if not existed:
        return []
    name = track.symbol.name
    log.warning("features.history_dropped", symbol=name, series=track.source_class, why="another class or layout")
    slots: Sequence[Slot] = tuple(track.slots.values())
    caches = [keys.bar_cache(partition, name, timeframe) for timeframe in track.slots]
    fields = [symbol_field(name), *(asked_field(slot.lane.name) for slot in slots)]
    return [("DEL", *caches), ("HDEL", keys.state(partition, "features"), *fields)]


def _is_lost(joined: bytearray, newest_ms: int | None) -> bool:
    """Tell whether a bar cache does not end with the bar that it was committed with."""
    if newest_ms is None:
        return False
    return not joined or int(unpack(joined)["open_ms"][-1]) != newest_ms
