"""The end of all logs of an installation, and what is added to them."""

import time
from pathlib import Path
from typing import TextIO

LAST_BYTES = 4_000
POLL_S = 0.25


class LogTail:
    """Follows every *.log in a folder, through supervisord's rotation, new files included."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, tuple[int, int]] = {}
        """File -> (inode, bytes read)."""

    def new_lines(self) -> list[str]:
        """Return what was added since the last call, each line after its log's name; at first the end of each log."""
        lines: list[str] = []
        for path in sorted(self._folder.glob("*.log")):
            lines += [f"{path.stem:<12} | {line}" for line in self._added(path)]
        return lines

    def _added(self, path: Path) -> list[str]:
        try:
            with path.open("rb") as file:
                inode, size = path.stat().st_ino, path.stat().st_size
                before, at = self._read.get(path, (inode, max(0, size - LAST_BYTES)))
                if before != inode or at > size:
                    at = 0
                file.seek(at)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:  # rotated at this moment
            return []
        self._read[path] = (inode, at + len(whole) + len(newline))
        return whole.decode(errors="replace").splitlines()


def follow(folder: Path, out: TextIO, *, once: bool) -> None:
    """Print the end of all logs; unless `once`, go on with what is added until interrupted."""
    tail = LogTail(folder)
    while True:
        for line in tail.new_lines():
            print(line, file=out)
        out.flush()
        if once:
            return
        time.sleep(POLL_S)
