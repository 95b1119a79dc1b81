"""A record made in hand: made-up prices through both stages and the storer, as a live run leaves it."""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, Self

from common.messages import Clock, HistoryBars, RawQuote, RawQuotes
from common.redis_link import Link
from common.settings import Settings
from replay.line import Line
from replay.plan import Wanted, plans
from replay.record import Record
from replay.run import Replay
from replay.tally import Findings
from storer.database import Database
from storer.rebuild import RawMessage
from storer.rows import bar_row, rows_of
from tests.features.market import PRICE, START_MS, past
from tests.features.support import SERIES

Raw = tuple[str, RawMessage]
SYMBOLS = ("EURUSD", "XAUUSD")
WALL_MS = 1_790_000_000_000
ALL = (0, 2**62)
LIVELY = Path(__file__).with_name("lively.toml")
CYCLES = 240
"""Twenty minutes."""


def settings(symbols: Sequence[str] = SYMBOLS, **changes: object) -> Settings:
    """Return settings with few bars to keep, whatever the environment says."""
    given: dict[str, object] = {
        "symbols": tuple(symbols), "limits": "none", "timeframes": ("1s", "1m"), "max_bars_cache": 1_000,
        "anchor_bars": 100, "strategies_file": LIVELY,
    }  # fmt: skip
    return Settings(_env_file=None, **(given | changes))  # type: ignore[call-arg,arg-type]  # pydantic-settings' own argument


def raw_cycles(seed: int, count: int, first: int = 1, every_s: int = 5, sigma: float = 0.002) -> Iterator[Raw]:
    """Yield cycles of `raw`: a reply with both symbols, some prices out of hand, and the clock."""
    rng = random.Random(seed)
    prices = {symbol: PRICE[symbol] for symbol in SYMBOLS}
    for cycle in range(1, first + count):
        now_ms = START_MS + cycle * every_s * 1000
        quotes = []
        for symbol in SYMBOLS:
            prices[symbol] *= 1.0 + rng.gauss(0.0, sigma * (every_s / 60) ** 0.5)
            price = prices[symbol] * (1.0 if rng.random() < 0.98 else 10.0)
            quotes.append(RawQuote(symbol, SERIES[symbol], now_ms - rng.randint(100, 1_500), price))
        if cycle >= first:
            raw_ms = WALL_MS + cycle * 1000
            yield f"{raw_ms}-0", RawQuotes("yahoo", now_ms, tuple(quotes))
            yield f"{raw_ms}-1", Clock(cycle, now_ms, raw_ms)


def answers() -> Iterator[HistoryBars]:
    """Yield what the storer has of the time before."""
    for number, symbol in enumerate(SYMBOLS):
        bars = past(symbol, "1m", number)
        yield HistoryBars(f"{symbol}|1m", symbol, "1m", SERIES[symbol], tuple(bars))


class Copy(NamedTuple):
    """A record."""

    path: Path

    def change(self, statement: str, *values: object) -> None:
        """Alter what is stored; something must be."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            assert connection.execute(statement, values).rowcount > 0

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what is stored."""
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()

    def one(self, query: str) -> Any:
        """Return the first value of the first row."""
        return self.rows(query)[0][0]


class Live:
    """Both stages and the storer, as they run live. Use as a context manager."""

    def __init__(self, link: Link, folder: Path) -> None:
        self.path = folder / "md.db"
        self._link, self._folder = link, folder

    def __enter__(self) -> Self:
        self._database = Database(self.path)
        self._line = Line(self._link, settings(), self._folder)
        self._incarnation = 0
        self.empty_redis()
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        self._link.close()

    def empty_redis(self) -> None:
        """Begin with nothing, under another incarnation."""
        self._line.begin()
        self._incarnation += 1

    def run(self, entries: Sequence[Raw], *, results: bool = True) -> None:
        """Handle entries and store what comes out; without `results`, neither bars nor signals."""
        produced = self._line.feed(entries)
        batch = (*produced.quotes, *produced.rejects, *((*produced.bars, *produced.signals) if results else ()))
        self._database.write(rows_of(batch, 0, f"word {self._incarnation}"))

    def answer(self, history: HistoryBars) -> None:
        """Store bars of the time before, and give them to the engine, which has asked."""
        self._database.write({"bars": [bar_row(bar, "vendor") for bar in history.bars]})
        self._line.give(history)


def replayed(
    path: Path,
    link: Link,
    bounds: tuple[int, int] = ALL,
    lead_in_ms: int | None = None,
    only: Sequence[str] = (),
    given: Settings | None = None,
) -> Findings:
    """Replay a record and return what was found."""
    findings, chosen = Findings(), given or settings()
    line = Line(link, chosen, path.parent)
    wanted = Wanted(*bounds, lead_in_ms, frozenset(only or chosen.symbols))
    with closing(Record(path)) as record:
        for plan in plans(record, wanted, line.table):
            Replay(record, line, plan, findings, lambda _cycles, _entries: None).run()
    return findings


def found(findings: Findings) -> dict[str, tuple[int, int]]:
    """Return kind -> compared, differing."""
    return {kind: (tally.compared, tally.differing) for kind, tally in findings.tallies.items()}
