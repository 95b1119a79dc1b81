"""A machine whose wall clock can be set: every process of a pipeline, Redis too, under libfaketime."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_LIBRARIES = tuple(
    Path("/usr/lib", place, "faketime/libfaketimeMT.so.1") for place in ("x86_64-linux-gnu", "aarch64-linux-gnu", "")
)


class WallClock:
    """The wall clock of what is started with `environment`. Monotonic clocks go on as they are."""

    def __init__(self, folder: Path) -> None:
        """Skips where libfaketime is not installed."""
        found = [path for path in _LIBRARIES if path.exists()]
        if not found:
            pytest.skip("a clock that is set needs libfaketime (Debian: apt install faketime)")
        self._file = folder / "clock"
        self.set_by(0)
        self.environment = {
            "LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
        }  # fmt: skip

    def set_by(self, seconds: float) -> None:
        """Set it so much off the real time: for each process within a second."""
        beside = self._file.with_suffix(".new")
        beside.write_text(f"{seconds:+.0f}\n")
        beside.replace(self._file)

    @contextmanager
    def inherited(self) -> Iterator[None]:
        """Hand it on to what this process starts inside without an environment of its own."""
        before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
