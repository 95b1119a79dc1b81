"""Reading 5,000 bars into numpy: our list of packed records against a stream with a field for each column."""

import struct
from typing import cast

import numpy as np

from bench.processes import took_ms
from bench.row import Row
from bench.valkey import valkey
from common import keys
from common.bars import pack, unpack
from common.messages import Bar
from common.redis_link import Command, Link, open_link

BARS = 5_000
ROUNDS = 15
COLUMNS = ("open", "high", "low", "close", "volume")


def run() -> list[Row]:
    """Return the time of one read, and of one current value."""
    with valkey() as settings:
        link = open_link(settings)
        ours, peer = keys.bar_cache(0, "X", "1m"), "peer"
        _fill(link, ours, peer)
        reading = [took_ms(lambda: unpack(cast(list[bytes], link.call("LRANGE", ours, 0, -1)))) for _ in range(ROUNDS)]
        stream = [took_ms(lambda: _columns(link, peer)) for _ in range(ROUNDS)]
        link.exchange([("SET", "values", b"x" * 900), ("HSET", "hash", *_pairs(22))])
        value = [took_ms(lambda: link.call("GET", "values"), 200) for _ in range(ROUNDS)]
        fields = [took_ms(lambda: link.call("HGETALL", "hash"), 200) for _ in range(ROUNDS)]
    return [
        Row("5,000 bars", "ms", reading, "stream of 6 fields", stream),
        Row("current values of a lane", "ms", value, "hash of 22 fields", fields),
    ]


def _fill(link: Link, ours: str, peer: str) -> None:
    rng = np.random.default_rng(1)
    commands: list[Command] = []
    for number, close in enumerate((1.1 + rng.normal(0, 1e-4, BARS).cumsum()).tolist()):
        bar = Bar("X", "1m", number * 60_000, close, close, close, close, 1.0, "ticks", 1, "s", "c")
        named = [part for name in COLUMNS for part in (name, getattr(bar, name))]
        commands.append(("RPUSH", ours, pack(bar)))
        commands.append(("XADD", peer, f"{number + 1}-0", "open_ms", bar.open_ms, *named))
    link.exchange(commands)


def _columns(link: Link, key: str) -> dict[bytes, object]:
    entries = cast(list[tuple[bytes, list[bytes]]], link.call("XRANGE", key, "-", "+"))
    names = entries[0][1][::2]
    return {name: np.array([float(fields[1 + 2 * i]) for _, fields in entries]) for i, name in enumerate(names)}


def _pairs(count: int) -> list[str | bytes]:
    return [part for n in range(count) for part in (f"indicator_{n}", struct.pack("<d", n * 1.5))]
