"""Read recorded prices: bars (`timestamp,open,high,low,close,volume`) or quotes (`timestamp_ms,bid,ask`), UTC.

Files end in .csv or .csv.gz. The symbol is the file's name up to the first underscore; a name that begins with
"quotes_" has it in second place. Prices become the float64 nearest to their digits, which spells the same digits.
"""

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from common.errors import Fatal
from simulator.ticks import F64, I64

BAR_HEADER = "timestamp,open,high,low,close,volume"
QUOTE_HEADER = "timestamp_ms,bid,ask"
_DAY_GAP_MS = 30 * 60_000
"""After a silence of this length the session's cumulative volume begins again."""
_DEFAULT_BAR_S = 60


@dataclass(frozen=True)
class Recording:
    """One symbol's recorded ticks, oldest first."""

    symbol: str
    files: tuple[Path, ...]
    market_ms: I64
    price: F64
    """A bar's four prices in the order open, high, low, close; or the bid."""
    volume: I64
    bid: F64 | None
    ask: F64 | None
    end_ms: int
    """When the last bar is complete, or the last quote's time."""


def symbol_of(file: Path) -> str:
    """Return the symbol in the name of a file."""
    parts = file.name.split(".")[0].split("_")
    return parts[1] if parts[0] == "quotes" and len(parts) > 1 else parts[0]


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the CSV files that the paths name or hold, in order of name within a folder."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(f for f in path.iterdir() if f.name.endswith((".csv", ".csv.gz")))
        elif path.is_file():
            found.append(path)
        else:
            raise Fatal(f"{path}: expected a .csv or .csv.gz file or a folder of them, found nothing there")
    if not found:
        raise Fatal(f"{', '.join(map(str, paths))}: expected .csv or .csv.gz files, found none")
    return found


def _lines(file: Path) -> list[str]:
    try:
        with gzip.open(file, "rt") if file.name.endswith(".gz") else file.open() as f:
            return f.read().splitlines()
    except (OSError, EOFError, UnicodeDecodeError) as e:
        raise Fatal(f"{file}: expected a readable CSV file, found {type(e).__name__}: {e}") from e


def _bar_row(line: str) -> tuple[float, ...]:
    opened, *fields = line.split(",")
    if len(fields) != 5:
        raise ValueError("6 fields")
    volume = float(fields[4] or 0)
    if not 0 <= volume < float("inf"):
        raise ValueError("a volume of 0 or more, or none")
    return (int(opened), *_prices(fields[:4]), volume)


def _quote_row(line: str) -> tuple[float, ...]:
    at, *fields = line.split(",")
    if len(fields) != 2:
        raise ValueError("3 fields")
    return (int(at), *_prices(fields))


def _prices(fields: list[str]) -> list[float]:
    prices = [float(field) for field in fields]
    if not all(0 < price < float("inf") for price in prices):
        raise ValueError("prices above 0")
    return prices


def _rows(file: Path, lines: list[str], parse: Callable[[str], tuple[float, ...]]) -> list[tuple[float, ...]]:
    rows: list[tuple[float, ...]] = []
    for number, line in enumerate(lines[1:], 2):
        try:
            rows.append(parse(line))
        except ValueError as e:
            raise Fatal(f"{file}, line {number}: expected {lines[0]!r} ({e}), found {line!r}") from e
    if not rows:
        raise Fatal(f"{file}, line 2: expected a row of {lines[0]!r}, found the end of the file")
    return rows


def _require(file: Path, lines: list[str], good: np.ndarray[tuple[int], np.dtype[np.bool_]], expected: str) -> None:
    """Raise Fatal for the first row (0 is line 2) that is not good."""
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise Fatal(f"{file}, line {row + 2}: expected {expected}, found {lines[row + 1]!r}")


def _rising(times: I64, *, strictly: bool) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    good = np.ones(len(times), dtype=bool)
    good[1:] = np.diff(times) > 0 if strictly else np.diff(times) >= 0
    return good


def _read_bars(file: Path, lines: list[str]) -> Recording:
    rows = np.array(_rows(file, lines, _bar_row))
    opened = rows[:, 0].astype(np.int64)
    prices = rows[:, 1:5]
    _require(file, lines, _rising(opened, strictly=True), "a timestamp later than the one before")
    orderly = (prices[:, 1] >= prices.max(axis=1)) & (prices[:, 2] <= prices.min(axis=1))
    _require(file, lines, orderly, "low <= open, close <= high")
    length_s = int(np.diff(opened).min()) if len(opened) > 1 else _DEFAULT_BAR_S
    quarter_ms = length_s * 250
    market_ms = (opened[:, None] * 1000 + quarter_ms * np.arange(4)).reshape(-1)
    whole = np.round(rows[:, 5]).astype(np.int64)
    third = whole // 3
    volume = np.stack((np.zeros_like(whole), third, third, whole - 2 * third), axis=1).reshape(-1)
    end_ms = (int(opened[-1]) + length_s) * 1000
    return Recording(symbol_of(file), (file,), market_ms, prices.reshape(-1), volume, None, None, end_ms)


def _read_quotes(file: Path, lines: list[str]) -> Recording:
    rows = np.array(_rows(file, lines, _quote_row))
    market_ms = rows[:, 0].astype(np.int64)
    bid, ask = rows[:, 1].copy(), rows[:, 2].copy()
    _require(file, lines, _rising(market_ms, strictly=False), "a timestamp_ms not earlier than the one before")
    _require(file, lines, bid <= ask, "bid <= ask")
    nothing = np.zeros(len(rows), dtype=np.int64)
    return Recording(symbol_of(file), (file,), market_ms, bid, nothing, bid, ask, int(market_ms[-1]))


def read(file: Path) -> Recording:
    """Return what one file holds. Fatal names file, line, what was expected and what was found."""
    lines = _lines(file)
    header = lines[0] if lines else ""
    if header == BAR_HEADER:
        return _read_bars(file, lines)
    if header == QUOTE_HEADER:
        return _read_quotes(file, lines)
    raise Fatal(f"{file}, line 1: expected {BAR_HEADER!r} or {QUOTE_HEADER!r}, found {header!r}")


def combine(parts: Sequence[Recording]) -> Recording:
    """Return the recordings of one symbol as one. Fatal if two of them overlap or are of different kinds."""
    parts = sorted(parts, key=lambda part: int(part.market_ms[0]))
    for before, after in pairwise(parts):
        where = f"{before.symbol}: {before.files[-1]} and {after.files[0]}"
        if after.market_ms[0] < before.end_ms:
            raise Fatal(f"{where}: expected files that follow each other in time, found an overlap: give one of them")
        if (before.bid is None) != (after.bid is None):
            raise Fatal(f"{where}: expected files of one kind, found bars and quotes: give one of them")
    if len(parts) == 1:
        return parts[0]
    bids = [part.bid for part in parts if part.bid is not None]
    asks = [part.ask for part in parts if part.ask is not None]
    return Recording(
        symbol=parts[0].symbol,
        files=tuple(file for part in parts for file in part.files),
        market_ms=np.concatenate([part.market_ms for part in parts]),
        price=np.concatenate([part.price for part in parts]),
        volume=np.concatenate([part.volume for part in parts]),
        bid=np.concatenate(bids) if bids else None,
        ask=np.concatenate(asks) if asks else None,
        end_ms=parts[-1].end_ms,
    )


def day_starts(market_ms: I64) -> I64:
    """Return the indexes of the ticks that begin a new day: the first one, and each after a long silence."""
    fresh = np.concatenate(([True], np.diff(market_ms) >= _DAY_GAP_MS))
    return np.flatnonzero(fresh).astype(np.int64)


def day_volumes(volume: I64, starts: I64) -> I64:
    """Return the cumulative volume of each tick's day."""
    total = np.cumsum(volume)
    before = (total - volume)[starts]
    lengths = np.diff(np.append(starts, len(volume)))
    return np.asarray(total - np.repeat(before, lengths), dtype=np.int64)
