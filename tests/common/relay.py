"""A small stage for tests: it passes raw quotes on, sums them up in its state, and fails where it is told to."""

from collections.abc import Sequence

from common import keys
from common.keys import FIELD, QUOTES, RAW
from common.messages import Quote, Quotes, RawQuote, RawQuotes, decode, encode
from common.partition_loop import PartitionLoop
from common.redis_link import Link, flat_pairs
from common.stage import Batch, Entry, Outcome, Publication, StageSpec

POISON = "POISON"


class Relay:
    """Publishes one Quotes per RawQuotes; its state is how many it has seen, also written into `day_volume`."""

    def __init__(self, partition: int, poisonous: Sequence[str] = (POISON,)) -> None:
        self._partition, self._poisonous, self.seen = partition, poisonous, 0

    def restore(self, link: Link) -> Outcome:
        """Read the count."""
        stored = flat_pairs(link.call("HGETALL", keys.state(self._partition, "relay")))
        self.seen = int(stored.get(b"seen", b"0"))
        return Outcome()

    def handle(self, batch: Batch) -> Outcome:
        """Pass every entry on."""
        published = [Publication(QUOTES, self._pass_on(entry)) for entry in batch]
        return Outcome(published, [("HSET", keys.state(self._partition, "relay"), "seen", self.seen)])

    def _pass_on(self, entry: Entry) -> Quotes:
        raw = entry.message
        assert isinstance(raw, RawQuotes)
        self.seen += 1
        symbol = raw.quotes[0].symbol
        if symbol in self._poisonous:
            raise ValueError(f"{symbol} can't be handled")
        quote = Quote(
            symbol=symbol, source=raw.source, source_class="c", market_ms=0, received_ms=raw.received_ms, price=1.0,
            raw_id=entry.id, raw_index=0, day_volume=float(self.seen),
        )  # fmt: skip
        return Quotes(quotes=(quote,))


def relay_spec(**changes: object) -> StageSpec:
    """Return the spec of the relay stage."""
    given: dict[str, object] = {"make_handler": Relay, **changes}
    return StageSpec(name="relay", inputs=(RAW,), outputs=(QUOTES,), **given)  # type: ignore[arg-type]  # test sugar


def feed(link: Link, *symbols: str) -> list[str]:
    """Add one raw entry per symbol; `received_ms` numbers them. Returns the entry ids."""
    ids = []
    for number, symbol in enumerate(symbols):
        message = RawQuotes(
            source="s", received_ms=number, quotes=(RawQuote(symbol=symbol, source_class="c", last=1.0),)
        )
        ids.append(link.call("XADD", RAW.key(0), "*", FIELD, encode(message)))
    return [i.decode() for i in ids if isinstance(i, bytes)]


def passed_on(link: Link) -> list[tuple[int, float | None]]:
    """Return (received_ms, count) of every quote that came out, in order."""
    entries = link.call("XRANGE", QUOTES.key(0), "-", "+")
    found = []
    for _, fields in entries:  # type: ignore[union-attr, misc]  # raw reply
        message = decode(fields[1])  # type: ignore[index, arg-type]
        assert isinstance(message, Quotes)
        found.append((message.quotes[0].received_ms, message.quotes[0].day_volume))
    return found


def settle(loop: PartitionLoop, steps: int = 12) -> None:
    """Step until nothing is left to do."""
    for _ in range(steps):
        loop.step(0)


def pending(link: Link) -> object:
    """Return how many raw entries are read and not acknowledged."""
    return link.call("XPENDING", RAW.key(0), "relay")[0]  # type: ignore[index]  # raw reply
