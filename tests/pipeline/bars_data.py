"""Bar files for replays: cut from recorded ones, or made from a seed where there are none."""

import csv
import gzip
import random
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SourceBar:
    """One line of a bar file."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def cut(source: Path, target: Path, from_ms: int, to_ms: int) -> None:
    """Write the bars of a gzip'd file that open in [from_ms, to_ms), characters untouched."""
    with gzip.open(source, "rt") as lines, target.open("w") as out:
        out.write(next(lines))
        out.writelines(line for line in lines if from_ms <= int(line.split(",")[0]) * 1000 < to_ms)


def make(target: Path, seed: int, first_ms: int, bars: int, price: float, tick: float, volume: bool) -> None:
    """Write a seeded random walk of 1-minute bars, with some minutes missing."""
    rng, digits = random.Random(seed), len(f"{tick:.10f}".rstrip("0").split(".")[1])
    with target.open("w") as out:
        out.write("timestamp,open,high,low,close,volume\n")
        steps = round(price / tick)
        for number in range(bars):
            walk = [steps := steps + rng.randint(-9, 9) for _ in range(4)]
            if rng.random() < 0.02:
                continue
            o, c = walk[0], walk[3]
            prices = (o, max(walk), min(walk), c)
            texts = [f"{p * tick:.{digits}f}" for p in prices]
            out.write(f"{first_ms // 1000 + number * 60},{','.join(texts)},{rng.randint(0, 900) if volume else ''}\n")


def read(path: Path) -> list[SourceBar]:
    """Return the bars of a file."""
    with path.open() as file:
        return [
            SourceBar(
                int(row["timestamp"]) * 1000, *(float(row[n] or 0) for n in ("open", "high", "low", "close", "volume"))
            )
            for row in csv.DictReader(file)
        ]
