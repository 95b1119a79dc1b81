"""Kill the storer with -9 while it is inside a transaction of SQLite."""

import fcntl
import os
import signal
import struct
import time
from pathlib import Path

from tests.chaos.forked import ForkedPipeline
from tests.support import wait_until

_WRITE_LOCK_BYTE = 120  # of the -shm file: WAL_WRITE_LOCK, https://sqlite.org/walformat.html#wal_locks
_FLOCK = "hhqqi4x"  # l_type, l_whence, l_start, l_len, l_pid
_DEADLINE_S = 60.0


class Victim:
    """The storer of a pipeline, watched through the lock that each of its transactions takes."""

    def __init__(self, pipeline: ForkedPipeline) -> None:
        self._pipeline = pipeline
        self._lives = 0
        self._shm = pipeline.database.with_name(pipeline.database.name + "-shm")

    def kill_inside(self, delay_s: float) -> None:
        """Kill it so long after a transaction has begun that is still under way. It is not started again."""
        end_s = time.monotonic() + _DEADLINE_S
        process = self._pipeline.processes["storer"]
        self._lives += 1
        wait_until(
            self._is_at_work, _DEADLINE_S, "the storer to have started"
        )  # its own look into the database is over
        while True:
            self._wait_for_beginning(end_s)
            _spin(delay_s)
            os.kill(process.pid, signal.SIGSTOP)
            _until_stopped(process.pid)
            if self._holder() == process.pid:  # it can't end it any more
                self._pipeline.kill("storer")
                return
            os.kill(process.pid, signal.SIGCONT)
            delay_s /= 2

    def _is_at_work(self) -> bool:
        return self._pipeline.log("storer").count('"stage.ready"') == self._lives

    def _wait_for_beginning(self, end_s: float) -> None:
        while self._holder() == 0:
            assert time.monotonic() < end_s, f"no transaction of the storer within {_DEADLINE_S} s"

    def _holder(self) -> int:
        """Return the process that holds the write lock; 0: nobody."""
        if not self._shm.exists():
            return 0
        with self._shm.open("rb+") as file:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _WRITE_LOCK_BYTE, 1, 0)
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
        return 0 if kind == fcntl.F_UNLCK else pid


def _until_stopped(pid: int) -> None:
    end_s = time.monotonic() + _DEADLINE_S
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "Tt":
        assert time.monotonic() < end_s, f"process {pid} does not stop"


def _spin(for_s: float) -> None:
    end_s = time.monotonic() + for_s
    while time.monotonic() < end_s:
        pass
