"""What the engine's changes become in Redis: the bar cache, the current values, the state."""

from collections.abc import Iterator
from math import isfinite

from common import keys
from common.features import FeatureSet, FormingSet, encode_features
from common.redis_link import Command
from features.builder import Forming
from features.engine import Engine, Slot, Track
from features.state import CLOCK_FIELD, asked_field, encode_value, symbol_field

RECOMPUTED = "the history changed, recomputed at the next clock entry"


def drain(engine: Engine, partition: int, clock_moved: bool) -> list[Command]:
    """Return the commands that commit all changes since the last call, and forget those."""
    commands = [c for _, slot in _slots(engine) for c in _cache(partition, slot)]
    touched = [(track, slot) for track, slot in _slots(engine) if slot.touched]
    values = [part for track, slot in touched for part in _values(engine, partition, track, slot)]
    if values:
        commands.append(("MSET", *values))
    fields = list(_state(engine, clock_moved))
    if fields:
        commands.append(("HSET", keys.state(partition, "features"), *fields))
    if clock_moved and engine.clock is not None:
        now = engine.clock
        key = keys.feature_pass(partition)
        commands.append(("HSET", key, "clock_ms", now.now_ms, "wall_ms", now.wall_ms, "cycle", now.cycle))
    _forget(engine)
    return commands


def feature_set(track: Track, slot: Slot, clock_ms: int) -> FeatureSet:
    """Return the lane's current values; those of the open bar as if it closed now."""
    lane, window = slot.lane, slot.lane.window
    forming = _forming(slot) if slot.forming and not lane.stale else None
    return FeatureSet(
        symbol=lane.setup.symbol,
        timeframe=lane.setup.timeframe,
        source=lane.source,
        source_class=track.symbol.series,
        delay_ms=track.delay_ms,
        bar_open_ms=window.last_open_ms,
        market_ms=track.newest_ms,
        clock_ms=clock_ms,
        volume_kind=lane.volume_kind,
        bars_seen=window.bars_seen,
        ready=lane.ready,
        values={} if lane.stale else lane.named_values(),
        not_ready=_not_ready(slot),
        forming=forming,
    )


def _not_ready(slot: Slot) -> dict[str, str]:
    if slot.lane.stale:
        return dict.fromkeys(slot.lane.names, RECOMPUTED)
    return {name: why.reason for name, why in slot.lane.unready.items()}


def _forming(slot: Slot) -> FormingSet:
    bar: Forming = slot.forming[-1]
    peeked = zip(slot.lane.names, slot.lane.peek(slot.forming), strict=True)
    values = {name: value for name, value in peeked if isfinite(value)}
    return FormingSet(bar.open_ms, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.ticks, values)


def _slots(engine: Engine) -> Iterator[tuple[Track, Slot]]:
    return ((track, slot) for track in engine.tracks.values() for slot in track.slots.values())


def _cache(partition: int, slot: Slot) -> list[Command]:
    setup, window = slot.lane.setup, slot.lane.window
    key = keys.bar_cache(partition, setup.symbol, setup.timeframe)
    if slot.rewritten:
        return [("DEL", key), ("RPUSH", key, *window.stored())]
    if slot.appended:
        return [("RPUSH", key, *slot.appended), ("LTRIM", key, -window.kept_bars, -1)]
    return []


def _values(engine: Engine, partition: int, track: Track, slot: Slot) -> tuple[str, bytes]:
    clock_ms = engine.clock.now_ms if engine.clock is not None else 0
    setup = slot.lane.setup
    body = encode_features(feature_set(track, slot, clock_ms))
    return keys.feature_values(partition, setup.symbol, setup.timeframe), body


def _state(engine: Engine, clock_moved: bool) -> Iterator[str | bytes]:
    for track in engine.tracks.values():
        if track.changed:
            yield symbol_field(track.symbol.name)
            yield encode_value(track.state())
    for _, slot in _slots(engine):
        if slot.asked_now and slot.asked is not None:
            yield asked_field(slot.lane.setup.name)
            yield encode_value(slot.asked)
    if clock_moved and engine.clock is not None:
        yield CLOCK_FIELD
        yield encode_value(engine.clock)


def _forget(engine: Engine) -> None:
    for track, slot in _slots(engine):
        track.changed = slot.touched = slot.rewritten = slot.asked_now = False
        slot.appended.clear()
