"""Processes of one bench: started with the settings at hand, waited for, ended with it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from bench.poller import Poller
from common.settings import Settings

STARTS_WITHIN_S, ENDS_WITHIN_S = 60.0, 10.0


@contextmanager
def running(module: str, *arguments: str, environment: dict[str, str] | None = None) -> Iterator[int]:
    """Run `python -m module arguments`; yield its process id. environment: beside our own."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | (environment or {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        _end(process)


@contextmanager
def stages(
    names: Sequence[str], settings: Settings, given: Mapping[str, str], api_port: int = 0
) -> Iterator[list[int]]:
    """Run stages over the bench's Redis; yield their process ids, once the api listens if it has a port.

    given: more settings, by their names in the environment.
    """
    environment = {
        "REDIS_HOST": settings.redis_host, "REDIS_PORT": str(settings.redis_port), "LIMITS": "none",
        "STATE_DIR": str(settings.state_dir), "DATABASE_PATH": f"{settings.state_dir}/md.db",
    } | dict(given)  # fmt: skip
    if api_port:
        environment["API_PORT"] = str(api_port)
    with ExitStack() as stack:
        started = [stack.enter_context(running(name, environment=environment)) for name in names]
        if api_port:
            wait_until(lambda: listens(api_port), STARTS_WITHIN_S)
        yield started


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    """Tell whether a server of the loopback takes connections: nothing is asked, so that its first call stays so."""
    try:
        Poller(port).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], within_s: float, pause_s: float = 0.0) -> None:
    """Ask again and again until it holds. TimeoutError if it doesn't in time."""
    end_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"what was waited for was not there within {within_s:g} s")
        if pause_s:
            time.sleep(pause_s)


def took_ms(work: Callable[[], object], times: int = 1) -> float:
    """Return how long one time took."""
    began_s = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began_s) * 1000 / times
