"""Recorded bars from a file SYMBOL_ANYTHING.csv or .csv.gz: timestamp (s, UTC), open, high, low, close, volume."""

import csv
import gzip
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from common.errors import Fatal
from common.indicators import F64
from common.indicators.anchors import I64

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")


class FileBar(NamedTuple):
    """One bar of a file; volume None where the file has none."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float | None = None


@dataclass(frozen=True)
class History:
    """One symbol's bars, oldest first."""

    name: str
    symbol: str
    length_ms: int
    bars: tuple[FileBar, ...]

    def times(self) -> I64:
        """Return the bars' open times."""
        return np.array([bar.open_ms for bar in self.bars], dtype=np.int64)

    def prices(self, column: str) -> F64:
        """Return open, high, low or close."""
        return np.array([getattr(bar, column) for bar in self.bars])


def read_history(path: Path) -> History:
    """Return a file's bars. Fatal names the line and what is wrong with it."""
    try:
        with _opened(path) as lines:
            bars = tuple(_bars(path, lines))
    except (OSError, UnicodeDecodeError, EOFError) as e:
        raise Fatal(f"FILES: {path}: {getattr(e, 'strerror', None) or e}") from e
    if len(bars) < 2:
        raise Fatal(f"FILES: {path}: expected bars, found {len(bars)}")
    return History(path.name, path.name.split("_")[0].split(".")[0], _length_ms(bars), bars)


def _opened(path: Path) -> TextIO:
    return gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")


def _bars(path: Path, lines: TextIO) -> Iterator[FileBar]:
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise Fatal(f"FILES: {path}, line 1: expected {','.join(COLUMNS)}, found {reader.fieldnames}")
    before_ms = -1
    for number, row in enumerate(reader, 2):
        try:
            opened, high, low, close = (float(row[name]) for name in COLUMNS[1:5])
            volume = float(row["volume"]) if row["volume"] else None
            bar = FileBar(int(row["timestamp"]) * 1000, opened, high, low, close, volume)
        except (TypeError, ValueError) as e:
            raise Fatal(f"FILES: {path}, line {number}: expected numbers, found {row}") from e
        if bar.open_ms <= before_ms or not _sound(bar):
            raise Fatal(
                f"FILES: {path}, line {number}: expected a later bar with low <= open, close <= high, found {row}"
            )
        before_ms = bar.open_ms
        yield bar


def _sound(bar: FileBar) -> bool:
    ends = (bar.open, bar.close)
    return 0 < bar.low <= min(ends) and max(ends) <= bar.high and math.isfinite(bar.high)


def _length_ms(bars: Sequence[FileBar]) -> int:
    times = np.array([bar.open_ms for bar in bars])
    return int(np.min(np.diff(times)))
