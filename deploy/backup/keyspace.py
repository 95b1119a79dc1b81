"""Take all of our keys out of Redis as they are at one moment, and put them back.

Left out: the bar caches (large; the feature engine asks the storer for their bars), heartbeats, and the epochs, which
must never go back: an instance from before the restore would pass for the newest.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import cast

import msgspec
import redis
from redis.exceptions import RedisError, ResponseError

from common.errors import Fatal
from deploy.layout import RedisPlace
from deploy.redis_choice import is_ours

LEFT_OUT = (b"{*}:cache:bars:*", b"{*}:epoch:*", b"md:heartbeat:*")

_TRIAL = b"md:heartbeat:restore-trial"  # a name that is left out of every backup
_TRIAL_LIVES_MS = 1000

Keyspace = dict[bytes, bytes]
"""Key -> what DUMP gives of it."""

_decoder = msgspec.msgpack.Decoder(dict[bytes, bytes])


def connect(place: RedisPlace) -> redis.Redis:
    """Return a client of an installation's Redis. Fatal if it does not answer."""
    client = redis.Redis(
        host=place.address.host, port=place.address.port, db=place.db, password=place.password or None, protocol=2
    )
    try:
        client.ping()
    except RedisError as e:
        raise Fatal(f"no Redis answers at {place.address.where}: {e}; is the pipeline (make start) or Redis up?") from e
    return client


def take(client: redis.Redis) -> Keyspace:
    """Return all keys that a backup keeps, at one moment: one transaction."""
    names = [name for name in _names(client) if not _is_left_out(name)]
    transaction = client.pipeline(transaction=True)
    for name in names:
        transaction.dump(name)
    bodies = cast(list[bytes | None], transaction.execute())
    return {name: body for name, body in zip(names, bodies, strict=True) if body is not None}


def put(client: redis.Redis, kept: Mapping[bytes, bytes]) -> None:
    """Replace all of our keys, but for the epochs, with these: one transaction. Nobody may be at work meanwhile.

    Fatal if Redis refuses, and then all is as it was; or if it goes away meanwhile.
    """
    transaction = client.pipeline(transaction=True)
    for name in _names(client):
        if not fnmatchcase(name.decode(errors="replace"), "{*}:epoch:*"):
            transaction.delete(name)
    for name, body in kept.items():
        transaction.restore(name, 0, body, replace=True)
    try:
        transaction.execute()
    except ResponseError as e:
        why = str(e).rpartition("caused error: ")[2]  # before that stands the key's content
        raise Fatal(f"Redis refuses the keys, nothing was restored: {why}") from e
    except RedisError as e:
        raise Fatal(f"Redis went away, and may have the keys or not; restore once more: {e}") from e


def prove(client: redis.Redis, kept: Mapping[bytes, bytes]) -> None:
    """Fatal if this Redis can't read what another one has dumped. It changes nothing."""
    for body in list(kept.values())[:1]:  # they are of one release
        try:
            client.restore(_TRIAL, _TRIAL_LIVES_MS, body, replace=True)
            client.delete(_TRIAL)
        except RedisError as e:
            raise Fatal(f"expected a Redis that is no older than the one that was backed up, found: {e}") from e


def encode(kept: Keyspace) -> bytes:
    """Return the keys as bytes of a file."""
    return msgspec.msgpack.encode(kept)


def decode(body: bytes) -> Keyspace:
    """Return the keys in a file. Fatal if it is not one."""
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as e:
        raise Fatal(f"expected a snapshot of Redis, found: {e}") from e


def _names(client: redis.Redis) -> list[bytes]:
    found = cast(Iterable[bytes], client.scan_iter(count=1000))
    return sorted({name for name in found if is_ours(name)})


def _is_left_out(name: bytes) -> bool:
    return any(fnmatchcase(name.decode(errors="replace"), pattern.decode()) for pattern in LEFT_OUT)
