"""The validator's state in hand and in Redis: one hash field per series and feed, only changed ones are written."""

from collections.abc import Mapping

import msgspec
import structlog

from common import keys
from common.errors import Fatal
from common.redis_link import Command, Link, flat_pairs
from validator.compare import Pair, Track
from validator.state import Feed, Series

log = structlog.get_logger()

STAGE = "validator"
CLOCK = "clock"

SeriesName = tuple[str, str]
"""Symbol, source class."""
FeedName = tuple[str, str, str]
"""Symbol, source class, way: the source, marked where it was asked as a check."""
PairName = tuple[str, str, str, str]
"""Symbol, source class, two ways in the order of the alphabet."""

_series = msgspec.json.Decoder(Series)
_feed = msgspec.json.Decoder(Feed)
_track = msgspec.json.Decoder(Track)
_pair = msgspec.json.Decoder(Pair)
_encode = msgspec.json.Encoder().encode


class Memory:
    """What was committed, with what the batch in hand changes in it."""

    def __init__(self) -> None:
        self.now_ms: int | None = None
        """Of the last clock entry."""
        self._series: dict[SeriesName, Series] = {}
        self._feeds: dict[FeedName, Feed] = {}
        self._tracks: dict[SeriesName, dict[str, Track]] = {}
        self._pairs: dict[PairName, Pair] = {}
        self._compared: set[PairName] = set()
        self._changed: dict[str, Series | Feed | Track | Pair | int] = {}

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

    def track(self, name: FeedName) -> Track | None:
        """Return the newest prices of one way into a series, if any."""
        return self.tracks_of(name[:2]).get(name[2])

    def tracks_of(self, name: SeriesName) -> Mapping[str, Track]:
        """Return the newest prices of every way into a series."""
        return self._tracks.get(name, {})

    def keep_track(self, name: FeedName, track: Track) -> None:
        """Set the newest prices of one way."""
        self._tracks.setdefault(name[:2], {})[name[2]] = track
        self._changed["|".join(("track", *name))] = track

    def pair(self, name: PairName) -> Pair | None:
        """Return how two ways compared last, if they ever did."""
        return self._pairs.get(name)

    def pairs(self) -> Mapping[PairName, Pair]:
        """Return how all ways compared last."""
        return self._pairs

    def keep_pair(self, name: PairName, pair: Pair) -> None:
        """Set how two ways compare."""
        self._pairs[name] = pair
        self._compared.add(name)
        self._changed["|".join(("pair", *name))] = pair

    def take_compared(self) -> set[PairName]:
        """Return the pairs that were compared since the last call."""
        compared, self._compared = self._compared, set()
        return compared

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
            case "track", [symbol, source_class, way]:
                self._tracks.setdefault((symbol, source_class), {})[way] = _track.decode(body)
            case "pair", [symbol, source_class, one, other]:
                self._pairs[symbol, source_class, one, other] = _pair.decode(body)
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
