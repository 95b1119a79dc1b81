"""What a quote waits for in a small installation: from its arrival in the stream until its new values can be read."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.installation import installation, quote_of
from bench.kept_awake import can_be_kept_awake, kept_awake
from bench.pace import at_usual_pace, work_ms
from bench.processes import STARTS_WITHIN_S, stages, wait_until
from bench.row import Row, percentile
from bench.warm_lanes import PRICE, fill
from common import keys
from common.keys import FIELD, QUOTES
from common.messages import Clock, Quotes, encode
from common.redis_link import Link, open_link
from common.redis_wire import NOT_YET, connect, new_reader, packed
from common.settings import Settings

SYMBOLS, BARS = 6, 5_000
QUOTES_EACH, NOT_COUNTED = 600, 50
APART_S = 0.02
AT_MS = 1_642_435_200_000  # a Monday, 16:00 UTC
WITHIN_S = 5.0


def run() -> list[Row]:
    """Return p50 and p99, on the cores as they are and on cores that are kept awake."""
    with installation(SYMBOLS, 1, "", BARS) as (settings, table):
        fill(open_link(settings), settings, table, AT_MS)
        with _engine(settings) as measure:
            found = {"": measure()}
            if can_be_kept_awake():
                with kept_awake():
                    found["cores kept awake: "] = measure()
    return [row for where, waits in found.items() for row in _rows(where, waits)]


@dataclass
class Waits:
    """What each quote waited in ms, what a bare exchange took beside it, and how fast the machine was then."""

    ours: list[float] = field(default_factory=list)
    trips: list[float] = field(default_factory=list)
    paces: list[float] = field(default_factory=list)


def _rows(where: str, waits: Waits) -> Iterator[Row]:
    what = f"{where}{SYMBOLS} symbols: quote in the stream -> values in Redis"
    for share in (50, 90, 99):
        note, trip = "aim: 2 ms" if share == 99 else "", f"bare round trip, p{share}"
        yield Row(
            f"{what}, p{share}", "ms", [percentile(waits.ours, share)], trip, [percentile(waits.trips, share)],
            note=note,
        )  # fmt: skip
    ours, trips = at_usual_pace(waits.ours, waits.paces), at_usual_pace(waits.trips, waits.paces)
    note = f"of those {len(ours) / len(waits.ours):.0%} beside which a plain loop took its usual time"
    yield Row(f"{what}, p99", "ms", [percentile(ours, 99)], "bare round trip, p99", [percentile(trips, 99)], note=note)


@contextmanager
def _engine(settings: Settings) -> Iterator[Callable[[], Waits]]:
    """Run the features process, all lanes open; yield what measures."""
    link, names = open_link(settings), list(settings.symbols)
    given = {"SYMBOLS": ",".join(names), "SYMBOLS_FILE": str(settings.symbols_file)}
    with stages(("features",), settings, given):
        link.call("XADD", QUOTES.key(0), "*", FIELD, encode(Clock(1, AT_MS + 100, AT_MS + 100)))
        wait_until(lambda: link.call("HGET", keys.feature_pass(0), "cycle") == b"1", STARTS_WITHIN_S)
        time.sleep(2)  # until all lanes are open
        watcher = Watcher(settings, [keys.feature_values(0, name, "1m") for name in names])
        yield lambda: _measured(link, watcher, names)


def _measured(link: Link, watcher: "Watcher", names: Sequence[str]) -> Waits:
    rng, found = random.Random(5), Waits()
    for number in range(QUOTES_EACH):
        if number == NOT_COUNTED:
            found = Waits()
        time.sleep(APART_S)
        price = PRICE + rng.gauss(0.0, 1e-4)
        found.ours.append(_wait(link, watcher, names[number % len(names)], AT_MS + 200 + number, price))
        began_s = time.perf_counter()
        link.call("PING")
        found.trips.append((time.perf_counter() - began_s) * 1000)
        found.paces.append(work_ms())
    return found


def _wait(link: Link, watcher: "Watcher", name: str, at_ms: int, price: float) -> float:
    body = encode(Quotes((quote_of(name, at_ms, price),)))
    began_s = time.perf_counter()
    link.call("XADD", QUOTES.key(0), "*", FIELD, body)
    watcher.wait(keys.feature_values(0, name, "1m"))
    return (time.perf_counter() - began_s) * 1000


class Watcher:
    """Sees when a key is written, as Redis tells it: who asks again and again takes the engine's core."""

    def __init__(self, settings: Settings, watched: Sequence[str]) -> None:
        open_link(settings).call("CONFIG", "SET", "notify-keyspace-events", "K$")
        self._wire = connect(settings.redis_host, settings.redis_port, 0, "", WITHIN_S, WITHIN_S)
        self._reader = new_reader([])
        channels = [_channel(key) for key in watched]
        self._wire.socket.sendall(packed([("SUBSCRIBE", *channels)]))
        for _ in channels:
            self._told()

    def wait(self, key: str) -> None:
        """Return once the key is written. TimeoutError after five seconds."""
        channel = _channel(key)
        while self._told()[1] != channel:
            pass

    def _told(self) -> list[bytes]:
        while (found := self._reader.gets()) is NOT_YET:
            self._reader.feed(self._wire.socket.recv(1 << 12))
        assert isinstance(found, list)
        return found


def _channel(key: str) -> bytes:
    return f"__keyspace@0__:{key}".encode()
