"""The engine's changes as commands for Redis: the bar cache, the current values, the state.

A pass does what must be done, and then what its time allows: values of open bars, and lanes to be opened anew. What is
left stays among the changes, for the next pass.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, cast

from common import keys
from common.features import FeatureSet, FormingSet, encode_features, encode_values
from common.messages import VENDORS_ASKED
from common.redis_link import Command
from features.engine import Engine
from features.heads import heads
from features.readiness import utc
from features.state import CLOCK_FIELD, Asked, asked_field, encode_value, symbol_field
from features.track import Slot, Track, warming

RECOMPUTED = "the history changed, being recomputed"


@dataclass
class Drained:
    """What a pass leads to."""

    commands: list[Command] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    """Those of the lanes whose values were worked out."""
    lanes: int = 0
    """How many lanes those were."""
    values: int = 0
    """How many those were."""
    skipped: int = 0
    """Quotes whose values of the open bar were never worked out, since others came before there was time."""


def drain(engine: Engine, partition: int, clock_moved: bool, passed: bool, has_time: Callable[[], bool]) -> Drained:
    """Return the commands that commit what changed, and forget that.

    clock_moved: the engine has begun a clock entry. passed: all that it ends is closed. has_time: asked before each
    lane that can wait.
    """
    found, due = Drained(), _due(engine)
    for _, slot in due.pressing:
        found.commands += _cache(partition, slot)
    values = list(_values(engine, partition, due, found, has_time))
    if values:
        found.commands.append(("MSET", *values))
    found.commands += heads(engine, partition, [*engine.changes.tracks.values(), *found.tracks])
    fields = list(_state(engine, due, clock_moved))
    if fields:
        found.commands.append(("HSET", keys.state(partition, "features"), *fields))
    if passed and engine.clock is not None:
        now = engine.clock
        key = keys.feature_pass(partition)
        found.commands.append(("HSET", key, "clock_ms", now.now_ms, "wall_ms", now.wall_ms, "cycle", now.cycle))
    _forget(engine, due)
    return found


class _Due(NamedTuple):
    """The changed lanes by what they are due for."""

    pressing: list[tuple[Track, Slot]]
    """Their values are worked out in this pass."""
    waiting: list[tuple[Track, Slot]]
    """Theirs are while there is time. After a start these are thousands: nothing else may look at each of them."""
    asked: list[tuple[Track, Slot]]
    """What was asked of their history is to be committed."""


def _due(engine: Engine) -> _Due:
    due = _Due([], [], [])
    for changed in engine.changes.slots.values():
        slot = changed[1]
        if slot.touched:
            (due.pressing if slot.pressing else due.waiting).append(changed)
        if slot.asked_now:
            due.asked.append(changed)
    return due


def _values(
    engine: Engine, partition: int, due: _Due, found: Drained, has_time: Callable[[], bool]
) -> Iterator[str | bytes]:
    """Yield keys and values: first of lanes whose bars changed, then of the others while there is time."""
    clock_ms = engine.clock.now_ms if engine.clock is not None else 0
    for place, (track, slot) in enumerate(chain(due.pressing, due.waiting)):
        late = place >= len(due.pressing)
        if late and found.lanes and not has_time():
            del due.waiting[place - len(due.pressing) :]  # they wait on
            break
        if slot.lane.stale and late:
            slot.lane.reopen()
            slot.follow_pairs()
        # A lane whose history changed tells so first: what stands in Redis is wrong from now on.
        slot.touched, slot.pairs_moved = slot.lane.stale, False
        found.tracks.append(track)
        found.lanes += 1
        found.values += len(slot.lane.names)
        found.skipped += max(0, slot.quotes - 1)
        slot.quotes = 0
        waits = warming(track, engine.rules.asks)
        setup = slot.lane.setup
        yield keys.feature_values(partition, setup.symbol, setup.timeframe)
        yield encode_features(feature_set(track, slot, clock_ms, waits))


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
        values=_closed_values(slot),
        not_ready=_not_ready(track, slot, clock_ms),
        forming=forming,
        warming=waits,
    )


def _closed_values(slot: Slot) -> dict[str, float | None]:
    """Return the values after the last closed bar, as JSON that is kept until the next one."""
    lane = slot.lane
    if lane.stale:
        return {}
    if slot.encoded is None or slot.encoded[0] != lane.bars_closed:
        slot.encoded = (lane.bars_closed, encode_values(lane.names, lane.values))
    return cast(dict[str, float | None], slot.encoded[1])  # msgspec writes it as it is


def _not_ready(track: Track, slot: Slot, clock_ms: int) -> dict[str, str]:
    lane = slot.lane
    if lane.stale:
        return dict.fromkeys(lane.names, RECOMPUTED)
    if not lane.unready:
        return {}
    anew = "" if track.anew_ms is None else f"series changed to {track.source_class}; "
    more = _more(slot.asked)
    lacking = {why.lacking_bars for why in lane.unready.values() if why.lacking_bars}
    earliest = {bars: utc(lane.ready_at(clock_ms, bars)) for bars in lacking}
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
    if asked.detail.startswith(VENDORS_ASKED):  # the request's id says nothing to a reader
        return "; or with the vendors' history, which was asked for"
    return f"; no more history: {asked.detail}" if asked.detail else ""


def _forming(slot: Slot) -> FormingSet:
    lane, bar = slot.lane, slot.forming[-1]
    values: dict[str, float | None] = dict(zip(lane.names, lane.peek(slot.forming), strict=True))
    if any(one.volume_kind != lane.volume_kind for one in slot.forming):
        values |= dict.fromkeys(lane.setup.program.of_volume)  # closed as it stands, it would make them unready
    return FormingSet(bar.open_ms, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.ticks, values)


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


def _state(engine: Engine, due: _Due, clock_moved: bool) -> Iterator[str | bytes]:
    for track in engine.changes.tracks.values():
        yield symbol_field(track.symbol.name)
        yield encode_value(track.state())
    for _, slot in due.asked:
        if slot.asked is not None:
            yield asked_field(slot.lane.name)
            yield encode_value(slot.asked)
    if clock_moved and engine.clock is not None:
        yield CLOCK_FIELD
        yield encode_value(engine.clock)


def _forget(engine: Engine, due: _Due) -> None:
    engine.changes.tracks.clear()
    for _, slot in chain(due.pressing, due.waiting, due.asked):
        slot.rewritten = slot.asked_now = False
        slot.appended.clear()
        if not slot.touched:
            engine.changes.slots.pop(slot.lane.name, None)
