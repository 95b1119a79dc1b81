"""Let the stages finish what is in the streams, with nobody adding to it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from redis.exceptions import ResponseError

from common.entry_ids import parse_id
from common.errors import Fatal
from common.housekeeping import groups_of
from common.keys import TRANSPORT
from common.redis_link import Link, Reply
from common.retirement import retired_stages

STAGES = ("validator", "features", "storer")
POLL_S = 0.1
STOP_S = 10.0


def drain(link: Link, partitions: int, environment: Mapping[str, str], logs: Path, deadline_s: float) -> None:
    """Return when everything that any of these stages reads is settled. Fatal says what was left at the deadline.

    What waits for the collector is left.
    """
    with _running(environment, logs) as processes:
        end = time.monotonic() + deadline_s
        while left := list(unsettled_groups(link, partitions)):
            ended = [name for name, process in processes.items() if process.poll() is not None]
            if ended:
                raise Fatal(f"{', '.join(ended)} ended while draining: {logs} says why. Nothing was moved.")
            if time.monotonic() > end:
                raise Fatal(f"not settled within {deadline_s:.0f} s: {', '.join(left)}: see {logs}. Nothing was moved.")
            time.sleep(POLL_S)


def unsettled_groups(link: Link, partitions: int) -> Iterator[str]:
    """Yield the groups that have entries to settle, as "{0}:quotes of storer"."""
    for partition in range(partitions):
        retired = retired_stages(link, partition)
        for stream in TRANSPORT:
            key = stream.key(partition)
            groups, last = groups_of(link, key), _last(link, key)
            for reader in set(stream.readers) & set(STAGES) - retired.keys():
                delivered, pending = groups.get(reader, ((0, 0), 0))
                if pending or delivered < last:
                    yield f"{key} of {reader}"


def _last(link: Link, key: str) -> tuple[int, int]:
    """Return the id of the newest entry that there is."""
    reply = link.exchange([("XREVRANGE", key, "+", "-", "COUNT", 1)])[0]
    if isinstance(reply, ResponseError) or not reply:
        return (0, 0)
    return parse_id(cast(bytes, cast(list[list[Reply]], reply)[0][0]))


@contextmanager
def _running(environment: Mapping[str, str], logs: Path) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Run the stages, each over all partitions, and stop them in order at the end."""
    logs.mkdir(parents=True, exist_ok=True)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    parent = {"SUPERVISORD_PID": str(os.getpid())}
    try:
        for stage in STAGES:
            with (logs / f"{stage}.log").open("ab") as log:
                processes[stage] = subprocess.Popen(
                    [sys.executable, "-m", "deploy.child", "--", sys.executable, "-m", stage],
                    env={**os.environ, **environment, **parent}, stdout=log, stderr=log,
                )  # fmt: skip
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
