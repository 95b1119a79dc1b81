"""The engine as it was committed: its state, and the bar caches that its lanes rest on."""

from collections.abc import Sequence
from typing import cast

import msgspec
import structlog

from common import keys
from common.bars import is_layout, unpack
from common.errors import Fatal
from common.redis_link import Command, Link, flat_pairs
from features.engine import Engine
from features.rules import Rules
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
    writes = [c for name in engine.tracks for c in _restore_symbol(engine, partition, link, name, restored)]
    engine.resume(restored.clock)
    return restored.place, writes


def _restore_symbol(engine: Engine, partition: int, link: Link, name: str, restored: Restored) -> list[Command]:
    track, stored = engine.tracks[name], restored.symbols.get(name)
    caches = _read_caches(engine.rules, partition, link, track)
    usable = all(map(is_layout, caches))
    if stored is not None and stored.fits(track.symbol) and stored.series != track.source_class:
        track = engine.adopt(name, stored.series)
    if stored is None or stored.series != track.source_class or not usable:
        if track.source_class != track.symbol.series:
            engine.changes.change(track)  # which class it is must outlive the rest
        return _drop(partition, track, any(caches) or stored is not None)
    track.coverage, track.signalled, track.newest_ms = stored.coverage, dict(stored.signalled), stored.newest_ms
    track.anew_ms, track.live = stored.anew_ms, stored.live
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


def _read_caches(rules: Rules, partition: int, link: Link, track: Track) -> list[bytes]:
    """Return each lane's stored bars, joined."""
    names = [keys.bar_cache(partition, track.symbol.name, timeframe) for timeframe in track.slots]
    kept = rules.max_bars + rules.anchor_bars
    replies = link.exchange([("LRANGE", name, -kept, -1) for name in names])
    for name, reply in zip(names, replies, strict=True):
        if not isinstance(reply, list):
            raise Fatal(f"{name}: expected a list, found {reply!r}")
    return [b"".join(records) for records in cast(list[list[bytes]], replies)]


def _drop(partition: int, track: Track, existed: bool) -> list[Command]:
    if not existed:
        return []
    name = track.symbol.name
    log.warning("features.history_dropped", symbol=name, series=track.source_class, why="another class or layout")
    slots: Sequence[Slot] = tuple(track.slots.values())
    caches = [keys.bar_cache(partition, name, timeframe) for timeframe in track.slots]
    fields = [symbol_field(name), *(asked_field(slot.lane.name) for slot in slots)]
    return [("DEL", *caches), ("HDEL", keys.state(partition, "features"), *fields)]


def _is_lost(joined: bytes, newest_ms: int | None) -> bool:
    """Tell whether a bar cache does not end with the bar that it was committed with."""
    if newest_ms is None:
        return False
    return not joined or int(unpack(joined)["open_ms"][-1]) != newest_ms
