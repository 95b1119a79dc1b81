"""A Valkey for one bench: with the project's settings, empty, gone afterwards."""

import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from common.errors import Retryable
from common.redis_link import open_link
from common.settings import Settings
from deploy.layout import Address, RedisPlace
from deploy.redis_choice import embedded_configuration, find_binary


@contextlib.contextmanager
def valkey() -> Iterator[Settings]:
    """Start a server on a free port of the loopback, and yield settings that lead to it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        place = RedisPlace(Address("127.0.0.1", port, "", ""), 0, "")
        configuration = Path(folder) / "redis.conf"
        configuration.write_text(embedded_configuration(place, Path(folder)))
        process = subprocess.Popen([str(find_binary()), str(configuration)], stdout=subprocess.DEVNULL)
        try:
            settings = Settings.model_construct(
                redis_host="127.0.0.1", redis_port=port, state_dir=Path(folder), partitions=(0,)
            )
            _wait(settings)
            yield settings
        finally:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(settings: Settings) -> None:
    for _ in range(200):
        try:
            open_link(settings).call("PING")
        except Retryable:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("the embedded Valkey did not answer within 10 s")
