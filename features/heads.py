"""What is asked of every symbol at every request, apart from its indicators: how fresh its series is, and its price."""

from collections.abc import Iterable, Iterator

from common import keys
from common.bars import unpack
from common.heads import FormingHead, LaneHead, encode_head
from common.redis_link import Command
from features.engine import Engine
from features.track import Slot, Track, warming


def heads(engine: Engine, partition: int, tracks: Iterable[Track]) -> Iterator[Command]:
    """Yield the command that writes the heads of these symbols, each once."""
    fields: list[str | bytes] = []
    for name, track in {track.symbol.name: track for track in tracks}.items():
        fields += (name, encode_head(head_of(track, bool(warming(track, engine.rules.asks)))))
    if fields:
        yield ("HSET", keys.lane_heads(partition), *fields)


def head_of(track: Track, waits: bool) -> LaneHead:
    """Return the head of a symbol's shortest lane. waits: whether it gives no signals yet, see `warming`."""
    slot = next(iter(track.slots.values()))
    bar = slot.forming[-1] if slot.forming else None
    forming = None if bar is None else FormingHead(bar.open_ms, bar.high, bar.low, bar.close)
    price = _last_close(slot) if bar is None else bar.close
    return LaneHead(
        track.newest_ms, slot.lane.source, track.source_class, track.delay_ms, waits, forming, price,
        track.newest_score,
    )  # fmt: skip


def _last_close(slot: Slot) -> float | None:
    newest = slot.lane.window.newest_record()
    return None if newest is None else float(unpack(newest)["close"][0])
