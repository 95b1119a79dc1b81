"""The validator's state in hand and in Redis: one hash field per series and feed, only changed ones are written."""

import msgspec
import structlog

from common import keys
from common.errors import Fatal
from common.redis_link import Command, Link, flat_pairs
from validator.state import Feed, Series

log = structlog.get_logger()

STAGE = "validator"
CLOCK = "clock"

SeriesName = tuple[str, str]
"""Symbol, source class."""
FeedName = tuple[str, str, str]
"""Symbol, source class, source."""

_series = msgspec.json.Decoder(Series)
_feed = msgspec.json.Decoder(Feed)
_encode = msgspec.json.Encoder().encode


class Memory:
    """What was committed, with what the batch in hand changes in it."""

    def __init__(self) -> None:
        self.now_ms: int | None = None
        """Of the last clock entry."""
        self._series: dict[SeriesName, Series] = {}
        self._feeds: dict[FeedName, Feed] = {}
        self._changed: dict[str, Series | Feed | int] = {}

    def series(self, name: SeriesName) -> Series | None:
        """Return what is known of a series, if anything."""
        return self._series.get(name)

    def feed(self, name: FeedName) -> Feed | None:
        """Return what is known of a feed, if anything."""
        return self._feeds.get(name)

    def keep(self, name: FeedName, series: Series | None, feed: Feed) -> None:
        """Set what is known of a feed and its series."""
        self._feeds[name] = feed
        self._changed["|".join(("feed", *name))] = feed
        if series is not None:
            self._series[name[:2]] = series
            self._changed["|".join(("series", *name[:2]))] = series

    def set_now(self, now_ms: int) -> None:
        """Set the stream's time."""
        self.now_ms = now_ms
        self._changed[CLOCK] = now_ms

    def load(self, field: str, body: bytes) -> None:
        """Set one committed field. ValueError or DecodeError if the body is not of its kind."""
        kind, *name = field.split("|")
        match kind, name:
            case "clock", []:
                self.now_ms = int(body)
            case "series", [symbol, source_class]:
                self._series[symbol, source_class] = _series.decode(body)
            case "feed", [symbol, source_class, source]:
                self._feeds[symbol, source_class, source] = _feed.decode(body)
            case _:
                log.warning("state.unknown_field", field=field)  # of a newer release: it means nothing here

    def take_writes(self, partition: int) -> list[Command]:
        """Return the command that commits what changed since the last call; none if nothing did."""
        if not self._changed:
            return []
        pairs = [part for field, value in self._changed.items() for part in (field, _encode(value))]
        self._changed = {}
        return [("HSET", keys.state(partition, STAGE), *pairs)]


def restore_memory(link: Link, partition: int) -> Memory:
    """Return what was committed last. Fatal, with the key and the field, if it can't be understood."""
    key = keys.state(partition, STAGE)
    memory = Memory()
    for field, body in flat_pairs(link.call("HGETALL", key)).items():
        try:
            memory.load(field.decode(), body)
        except (msgspec.DecodeError, ValueError) as e:
            raise Fatal(f"{link.where}: key {key}, field {field!r}: expected this validator's state, found {e}") from e
    return memory
