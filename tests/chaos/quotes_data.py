"""Quote files for a replay of many symbols: recorded quotes dealt out to them, or made ones where there are none.

All symbols quote in step, at most once in STEP_MS, so that a cycle brings a quote of nearly each: that makes a replay
of a hundred thousand of them a matter of a minute. A recorded quote is dealt out once at most; only its day changes.
Before FIRST_MS each file holds a day of minutes, for the vendor's history: indicators are ready from the start.
"""

import csv
import gzip
import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

STEP_MS = 10_000
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
FIRST_MS = 1_399_032_000_000
"""Friday 2014-05-02 12:00 UTC, the busiest hours of the recording."""
MOST_HOURS = 8.75
"""Until the week's end."""
HISTORY_BARS = 1_050
_SPREAD = 0.0001

Line = tuple[int, str]
"""A quote's time, and what follows it on its line."""


@dataclass(frozen=True)
class Deal:
    """One day of one recording, dealt out to so many symbols."""

    quotes: str
    bars: str
    """The same vendor's minutes, for what was before."""
    days_late: int
    """How many days after FIRST_MS it was recorded."""
    name: str
    """What its symbols' names begin with."""
    symbols: int
    digits: int


_GOLD_BARS, _EURO, _EURO_BARS = "XAUUSD_M1bid_2014-05a", "quotes_EURUSD_2014-05-01_08", "EURUSD_M1bid_2014-05a"
RECORDED = (
    Deal("quotes_XAUUSD_2014-05-02", _GOLD_BARS, 0, "GOLDA", 16, 3),
    Deal("quotes_XAUUSD_2014-05-04_05", _GOLD_BARS, 3, "GOLDB", 12, 3),
    Deal(_EURO, _EURO_BARS, 0, "EUROA", 11, 5),
    Deal(_EURO, _EURO_BARS, 6, "EUROB", 13, 5),
    Deal(_EURO, _EURO_BARS, 5, "EUROC", 6, 5),
)


def deal(shared: Path, folder: Path, hours: float) -> dict[str, int]:
    """Write the files of the recorded quotes of the first hours; return symbol -> digits of its prices."""
    digits: dict[str, int] = {}
    for one in RECORDED:
        quotes = _recorded(shared / "market" / f"{one.quotes}.csv.gz")
        history = _minutes(shared / "market" / f"{one.bars}.csv.gz", one)
        hands = _dealt(_cut(quotes, one.days_late, hours), one.symbols)
        for place, lines in enumerate(hands):
            digits[f"{one.name}{place}"] = one.digits
            _write(folder / f"{one.name}{place}_dealt.csv", [*history, *lines])
    return digits


def make(folder: Path, hours: float, symbols: int) -> dict[str, int]:
    """Write files of made quotes; return symbol -> digits of its prices."""
    for place in range(symbols):
        _write(folder / f"MADE{place}_made.csv", _walk(random.Random(place), hours))
    return {f"MADE{place}": 5 for place in range(symbols)}


def read(file: Path) -> tuple[int, list[float]]:
    """Return how many quotes of a file are history, and the bid of each of its quotes."""
    with file.open() as lines:
        rows = [(int(row["timestamp_ms"]), float(row["bid"])) for row in csv.DictReader(lines)]
    return sum(at < FIRST_MS for at, _ in rows), [bid for _, bid in rows]


def symbol_table(digits: Mapping[str, int]) -> str:
    """Return a symbol table in which each symbol has one source."""
    classes = '[class.fx_spot]\ntitle = "spot"\nsession = "fx"\n'
    return classes + "".join(_SYMBOL.format(name=name, digits=n, tick=10**-n) for name, n in digits.items())


_SYMBOL = """
[symbol.{name}]
title = "{name}"
broker = "{name}"
series = "fx_spot"
quote_currency = "USD"
tick_size = {tick:.5f}
digits = {digits}
contract_size = 100.0
lot_min = 0.01
lot_step = 0.01
lot_max = 50.0
sources = [{{ vendor = "yahoo", symbol = "{name}=X", class = "fx_spot", volume = "none", delay_s = 0 }}]
"""


@cache
def _recorded(file: Path) -> Sequence[Line]:
    with gzip.open(file, "rt") as lines:
        next(lines)
        split = (line.rstrip("\n").partition(",") for line in lines)
        return [(int(at), prices) for at, _, prices in split]


def _cut(lines: Sequence[Line], days_late: int, hours: float) -> list[Line]:
    """Return what was recorded in the hours of that day, put onto the first day."""
    late_ms = days_late * DAY_MS
    begin, end = (bisect_left(lines, (FIRST_MS + late_ms + int(h * HOUR_MS),)) for h in (0, hours))
    return [(at - late_ms, prices) for at, prices in lines[begin:end]]


def _minutes(file: Path, one: Deal) -> list[Line]:
    """Return the newest bars before the first quote as four quotes each."""
    late_ms = one.days_late * DAY_MS
    with gzip.open(file, "rt") as lines:
        bars = [bar for bar in csv.DictReader(lines) if int(bar["timestamp"]) * 1000 < FIRST_MS + late_ms]
    return [
        (int(bar["timestamp"]) * 1000 - late_ms + place * MINUTE_MS // 4, _sides(float(bar[price]), one.digits))
        for bar in bars[-HISTORY_BARS:]
        for place, price in enumerate(("open", "high", "low", "close"))
    ]


def _dealt(lines: Sequence[Line], symbols: int) -> list[list[Line]]:
    """Give each symbol at most one quote of each step; where they are few the symbols take turns."""
    hands: list[list[Line]] = [[] for _ in range(symbols)]
    turn = 0
    for _, step in groupby(lines, key=lambda line: line[0] // STEP_MS):
        found = list(step)
        taken = min(symbols, len(found))
        for place in range(taken):
            hands[(turn + place) % symbols].append(found[(place + 1) * len(found) // taken - 1])
        turn += taken
    return hands


def _walk(rng: random.Random, hours: float) -> Iterator[Line]:
    price = 120_000
    for step in range(-HISTORY_BARS * MINUTE_MS // STEP_MS, int(hours * HOUR_MS / STEP_MS)):
        price += rng.randint(-9, 9)
        if rng.random() < 0.9:
            yield FIRST_MS + step * STEP_MS + rng.randrange(STEP_MS), _sides(price / 1e5, 5)


def _sides(bid: float, digits: int) -> str:
    return f"{bid:.{digits}f},{bid * (1 + _SPREAD):.{digits}f}"


def _write(file: Path, lines: Iterable[Line]) -> None:
    with file.open("w") as out:
        out.write("timestamp_ms,bid,ask\n")
        out.writelines(f"{at},{prices}\n" for at, prices in lines)
