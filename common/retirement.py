"""A stage that will not come back: its groups are taken away, so that nobody keeps entries for it any more.

Whoever starts the stage again ends its retirement: it goes on where it was, with what is left in the streams.
"""

from typing import cast

import msgspec
from msgspec import Struct
from redis.exceptions import ResponseError

from common import keys
from common.keys import TRANSPORT
from common.redis_link import Link, Reply, flat_pairs

MOST_IN_HAND = 100_000
"""Entries of one stream: far more than any stage reads before it settles some."""


class Retirement(Struct, frozen=True):
    """Why and when a stage was given up."""

    why: str
    wall_ms: int


class Place(Struct, frozen=True):
    """How far a group had come in a stream."""

    delivered: str
    """The last entry that it was given."""
    in_hand: tuple[str, ...]
    """Those of them that it had not settled."""


def retire(link: Link, partition: int, stage: str, retirement: Retirement) -> dict[str, int]:
    """Take a stage's groups away. Returns per stream how many entries it had not settled: they are lost to it."""
    lost: dict[str, int] = {}
    link.call("HSET", keys.retired(partition), stage, msgspec.json.encode(retirement))
    for stream in TRANSPORT:
        if stage in stream.readers:
            key = stream.key(partition)
            lost[stream.name] = _unsettled(link, key, stage)
            place = _place(link, key, stage)
            if place is not None:
                link.call("HSET", keys.left(partition, stage), stream.name, msgspec.json.encode(place))
            link.exchange([("XGROUP", "DESTROY", key, stage)])
    return lost


def retired_stages(link: Link, partition: int) -> dict[str, Retirement]:
    """Return the stages that were retired in a partition."""
    stored = flat_pairs(link.call("HGETALL", keys.retired(partition)))
    return {stage.decode(): msgspec.json.decode(body, type=Retirement) for stage, body in stored.items()}


def come_back(link: Link, partition: int, stage: str) -> bool:
    """End a stage's retirement; False if it was not retired."""
    return link.call("HDEL", keys.retired(partition), stage) == 1


def places(link: Link, partition: int, stage: str) -> dict[str, Place]:
    """Return how far a stage had come in each stream when it was retired; those that it has not gone on in."""
    stored = flat_pairs(link.call("HGETALL", keys.left(partition, stage)))
    return {stream.decode(): msgspec.json.decode(body, type=Place) for stream, body in stored.items()}


def _place(link: Link, key: str, group: str) -> Place | None:
    """Return how far a group has come; None if there is no such group."""
    groups, pending = link.exchange([("XINFO", "GROUPS", key), ("XPENDING", key, group, "-", "+", MOST_IN_HAND)])
    if not isinstance(groups, list) or not isinstance(pending, list):
        return None
    delivered = next(_last_delivered(g) for g in cast(list[list[Reply]], groups) if _name(g) == group)
    return Place(delivered.decode(), tuple(entry[0].decode() for entry in cast(list[list[bytes]], pending)))


def _unsettled(link: Link, key: str, group: str) -> int:
    pending, groups = link.exchange([("XPENDING", key, group), ("XINFO", "GROUPS", key)])
    if isinstance(pending, ResponseError) or not isinstance(groups, list):
        return 0
    last = next((_last_delivered(g) for g in cast(list[list[Reply]], groups) if _name(g) == group), b"0")
    unread = cast(list[Reply], link.call("XRANGE", key, b"(" + last, "+"))
    return int(cast(list[int], pending)[0]) + len(unread)


def _name(group: list[Reply]) -> str:
    return cast(bytes, dict(zip(group[::2], group[1::2], strict=True))[b"name"]).decode()


def _last_delivered(group: list[Reply]) -> bytes:
    return cast(bytes, dict(zip(group[::2], group[1::2], strict=True))[b"last-delivered-id"])
