"""A Redis of the replay's own: empty, on a free port of the loopback, and gone when the replay ends."""

import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from common.errors import Fatal, Retryable
from common.redis_link import Link, link_to
from deploy.child import die_with_parent
from deploy.redis_choice import find_binary

LOOPBACK = "127.0.0.1"
START_S = 10.0
STOP_S = 5.0
POLL_S = 0.01
ATTEMPTS = 3  # another program may take the port in between


@contextmanager
def scratch_redis() -> Iterator[Link]:
    """Lend a connection to an empty Redis. It dies with this process, however that ends."""
    with tempfile.TemporaryDirectory(prefix="replay-redis-") as folder:
        process, link = _start(Path(folder))
        try:
            yield link
        finally:
            link.close()
            process.kill()
            process.wait(STOP_S)


def _start(folder: Path) -> tuple["subprocess.Popen[bytes]", Link]:
    for _ in range(ATTEMPTS):
        port, password = _free_port(), secrets.token_hex(16)
        process = _spawn(folder, port, password)
        link = link_to(LOOPBACK, port, 0, password)
        if _answers(process, link):
            return process, link
        process.kill()
        process.wait(STOP_S)
    log = (folder / "log").read_text(errors="replace").strip().splitlines()
    raise Fatal(f"the scratch Redis did not start within {START_S:g} s: {log[-1] if log else 'it said nothing'}")


def _spawn(folder: Path, port: int, password: str) -> "subprocess.Popen[bytes]":
    configuration = folder / "redis.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f'bind {LOOPBACK}\nport {port}\nrequirepass {password}\ndir "{folder}"\nlogfile "{folder}/log"\n'
        'appendonly no\nsave ""\nmaxmemory-policy noeviction\n'
    )
    return subprocess.Popen(
        [str(find_binary()), str(configuration)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509  # this process has one thread
    )


def _answers(process: "subprocess.Popen[bytes]", link: Link) -> bool:
    """Tell whether it came up. A stranger on the port does not know the password."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            return link.call("PING") == b"PONG"
        except Retryable:
            time.sleep(POLL_S)
        except Fatal:
            return False
    return False


def _free_port() -> int:
    with socket.socket() as s:
        s.bind((LOOPBACK, 0))
        port: int = s.getsockname()[1]
        return port
