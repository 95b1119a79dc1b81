"""Fencing: of all instances of a stage that serve one partition, only the newest may commit."""

import secrets
from collections.abc import Sequence
from typing import cast

from redis.exceptions import ResponseError

from common import keys
from common.clock import wall_ms
from common.errors import Fatal, Fenced
from common.redis_link import Command, Link, Reply


class ExecFailed(Fatal):
    """Some commands inside an executed transaction failed: the others, the acknowledgement included, took effect."""

    def __init__(self, failed: Sequence[tuple[Command, str]]) -> None:
        super().__init__("; ".join(f"{c[0]!r} {c[1:2]}: {error}" for c, error in failed[:3]))
        self.failed = tuple(failed)


class EpochLost(Fenced):
    """The epoch itself is gone: somebody flushed or replaced the database. It may be taken anew."""


class Fence:
    """One instance's right to commit for (partition, stage), by an epoch that the next instance raises.

    The epoch's key is watched before every read and commit: an instance that was overtaken, or a transaction of it
    that arrives late, is aborted by Redis itself.
    """

    def __init__(self, link: Link, partition: int, stage: str) -> None:
        self._link = link
        self._key = keys.epoch(partition, stage)
        self._what = f"{stage} of partition {partition}"
        self.epoch = 0
        self.found_none = False
        """Whether there was no epoch when it was taken: nobody ever served the partition here, or all was flushed."""
        self._watched_in = -1
        """The link's watch round in which the epoch's key is watched: fences of several partitions share a link."""

    def take(self) -> None:
        """Take a new epoch: from here on every older instance is fenced off.

        Where there is none it begins beyond all that the clock has seen: an instance that slept through a flush must
        not find its own number again.
        """
        # A watch of our own from before would turn our own INCR against the next transaction.
        *_, replies = self._link.exchange(
            [("UNWATCH",), ("MULTI",), ("SET", self._key, _first_epoch(), "NX"), ("INCR", self._key), ("EXEC",)]
        )
        made, epoch = replies if isinstance(replies, list) else (None, replies)
        if not isinstance(epoch, int):
            raise Fatal(f"{self._key}: expected a counter, found: {epoch!r}")
        self.epoch, self.found_none = epoch, made == b"OK"

    def read(self, commands: Sequence[Command]) -> list[Reply]:
        """Return the commands' replies; the watch on the epoch comes with them at no extra round trip."""
        _, current, *replies = self._link.exchange([("WATCH", self._key), ("GET", self._key), *commands])
        if current != b"%d" % self.epoch:
            self._overtaken(current)
        self._watched_in = self._link.watch_round
        return replies

    def commit(self, commands: Sequence[Command]) -> list[Reply]:
        """Execute the commands in one transaction, and return their replies.

        Fenced if another instance took over; ExecFailed if a command failed inside; RedisAway if it isn't known
        whether it happened: then take() again and start from what is committed, never send the same again.
        """
        if self._watched_in != self._link.watch_round:
            self.read([])
        _, *queued, result = self._link.exchange([("MULTI",), *commands, ("EXEC",)])
        if result is None:
            self._overtaken(self._link.call("GET", self._key))
        if isinstance(result, ResponseError):
            why = [f"{c[0]!r}: {q}" for c, q in zip(commands, queued, strict=True) if isinstance(q, ResponseError)]
            raise Fatal(f"{self._what}: transaction refused, nothing of it happened: {'; '.join(why[:3]) or result}")
        replies = cast(list[Reply], result)
        failed = [(c, str(r)) for c, r in zip(commands, replies, strict=True) if isinstance(r, ResponseError)]
        if failed:
            raise ExecFailed(failed)
        return replies

    def _overtaken(self, current: Reply) -> None:
        if isinstance(current, ResponseError):
            raise Fatal(f"{self._key}: the epoch can't be read: {current}")
        if current is None:
            raise EpochLost(f"{self._key}: expected epoch {self.epoch}, found none: was Redis flushed?")
        raise Fenced(f"{self._what}: expected epoch {self.epoch}, found {current!r}: another instance has taken over")


def _first_epoch() -> int:
    """Return a number above every epoch so far; the last digits set two flushes within a millisecond apart."""
    return wall_ms() * 1_000 + secrets.randbelow(1_000)
