"""What the engine's changes become in Redis: the bar cache, the current values, the state."""

from collections.abc import Iterator
from math import isfinite

from common import keys
from common.features import FeatureSet, FormingSet, encode_features
from common.redis_link import Command
from features.builder import Forming
from features.engine import Engine
from features.readiness import utc
from features.state import CLOCK_FIELD, Asked, asked_field, encode_value, symbol_field
from features.track import Slot, Track, warming

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


def feature_set(track: Track, slot: Slot, clock_ms: int, waits: str) -> FeatureSet:
    """Return the lane's current values; those of the open bar as if it closed now. waits: see `warming`."""
    lane, window = slot.lane, slot.lane.window
    forming = _forming(slot) if slot.forming and not lane.stale else None
    return FeatureSet(
        symbol=lane.setup.symbol,
        timeframe=lane.setup.timeframe,
        source=lane.source,
        source_class=track.source_class,
        delay_ms=track.delay_ms,
        bar_open_ms=window.last_open_ms,
        market_ms=track.newest_ms,
        clock_ms=clock_ms,
        volume_kind=lane.volume_kind,
        bars_seen=window.bars_seen,
        ready=lane.ready,
        values={} if lane.stale else lane.named_values(),
        not_ready=_not_ready(track, slot, clock_ms),
        forming=forming,
        warming=waits,
    )


def _not_ready(track: Track, slot: Slot, clock_ms: int) -> dict[str, str]:
    lane = slot.lane
    if lane.stale:
        return dict.fromkeys(lane.names, RECOMPUTED)
    anew = "" if track.anew_ms is None else f"series changed to {track.source_class}; "
    more = _more(slot.asked) if lane.unready else ""
    earliest = {
        bars: utc(lane.ready_at(clock_ms, bars)) for bars in {why.lacking_bars for why in lane.unready.values()}
    }
    texts: dict[str, str] = {}
    for name, why in lane.unready.items():
        when = f", not before {earliest[why.lacking_bars]}" if why.lacking_bars and clock_ms else ""
        texts[name] = f"{anew}{why.reason}{when}{more}" if why.passing else why.reason
    return texts


def _more(asked: Asked | None) -> str:
    """Return what is known of more history to come."""
    if asked is None or not asked.answered:
        return ""
    why = f" ({asked.detail})" if asked.detail else ""
    if asked.retry_ms is not None:
        return f"; or with the vendors' history, asked for again at {utc(asked.retry_ms)}{why}"
    return f"; no more history: {asked.detail}" if asked.detail else ""


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
        stored = window.stored()
        return [("DEL", key), ("RPUSH", key, *stored)] if stored else [("DEL", key)]
    if slot.appended:
        # A list that somebody deleted stays gone, so that the next start finds it so and asks for all of it.
        push = "RPUSHX" if len(window) > len(slot.appended) else "RPUSH"
        return [(push, key, *slot.appended), ("LTRIM", key, -window.kept_bars, -1)]
    return []


def _values(engine: Engine, partition: int, track: Track, slot: Slot) -> tuple[str, bytes]:
    clock_ms = engine.clock.now_ms if engine.clock is not None else 0
    setup = slot.lane.setup
    waits = warming(track, lambda timeframe: any(timeframe in s.timeframes for s in engine.rules.strategies))
    body = encode_features(feature_set(track, slot, clock_ms, waits))
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
