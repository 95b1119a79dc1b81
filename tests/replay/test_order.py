"""The raw stream, through the real validator and the storer's rows, given back entry by entry."""

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from common import keys
from common.messages import Clock, Number, RawBar, RawBars, RawQuote, RawQuotes, SeriesChange
from common.stage import Entry
from storer.database import Database
from storer.rebuild import BEFORE_ALL, RawMessage, entries_between
from storer.rows import rows_of
from tests.support_examples import examples
from tests.validator.support import T0, validator

Raw = tuple[str, RawMessage]
LISTED = (
    ("yahoo", "EURUSD", "fx_spot"), ("twelvedata", "EURUSD", "fx_spot"), ("yahoo", "NAS100", "cme_nq_future"),
    ("mt5", "XAUUSD", "terminal_metals"), ("nobody", "EURUSD", "fx_spot"), ("yahoo", "nothing", "fx_spot"),
)  # fmt: skip
END = (2**62, 0)


def quote(rng: random.Random, now_ms: int, symbol: str, source_class: str) -> RawQuote:
    """Return a quote as vendors send them: most good, some without a time, some that are no numbers."""
    price = rng.choice([1.1, 1.1001, 1.0999, 9.9, "n/a", -1.0, None])
    return RawQuote(
        symbol, source_class, rng.choice([now_ms - 200, now_ms - 900_000, now_ms + 60_000, None]), price,
        rng.choice([None, 1.0998]), rng.choice([None, 1.1002, 1.09]), rng.choice([None, 5.0, "inf"]),
        rng.choice([None, 7]),
    )  # fmt: skip


def history(rng: random.Random, now_ms: int) -> RawBars:
    """Return bars of which some can't be; the first is good."""
    highs: tuple[Number, ...] = (1.101, "high", 0.5)
    first_ms = now_ms // 60_000 * 60_000 - 600_000
    bars = [RawBar(first_ms, 1.1, 1.101, 1.099, 1.1, 3.0)]
    bars += [
        RawBar(first_ms + i * 60_000, 1.1, rng.choice(highs), 1.099, 1.1, rng.choice([3.0, -1.0]))
        for i in range(1, rng.randrange(1, 6))
    ]
    return RawBars(
        f"gap1|EURUSD|fx_spot|1m|{first_ms}|{now_ms}", "twelvedata", "fx_spot", "EURUSD", "1m", now_ms,
        rng.choice(["traded", "ticks"]), tuple(bars), rng.random() < 0.5, "more later", rng.choice([None, now_ms]),
    )  # fmt: skip


def stream(rng: random.Random, cycles: int) -> Iterator[Raw]:
    """Yield cycles of `raw`, several entries in one millisecond."""
    for cycle in range(1, cycles + 1):
        now_ms, sequence = T0 + cycle * 1_000, 0
        for _ in range(rng.randrange(4)):
            source, symbol, source_class = rng.choice(LISTED)
            quotes = tuple(quote(rng, now_ms, symbol, source_class) for _ in range(rng.randrange(1, 4)))
            yield f"{now_ms}-{sequence}", RawQuotes(source, now_ms, quotes, rng.random() < 0.3)
            sequence += 1
        if rng.random() < 0.3:
            yield f"{now_ms}-{sequence}", history(rng, now_ms)
            sequence += 1
        if rng.random() < 0.2:
            yield (
                f"{now_ms}-{sequence}",
                SeriesChange("XAUUSD", "terminal_metals", "gold_spot", now_ms, "terminal_came"),
            )
            sequence += 1
        yield f"{now_ms}-{sequence}", Clock(cycle, now_ms, now_ms + 9, 2.0)


@examples(12)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_what_the_validator_judged_and_the_storer_wrote_comes_back_as_it_was(seed: int, batch: int) -> None:
    raw = list(stream(random.Random(seed), 25))
    judge = validator()
    judged = [
        Entry(publication.stream, f"{number}-0", publication.message)  # type: ignore[arg-type]  # a message of the union
        for number, (entry_id, message) in enumerate(raw)
        for publication in judge.handle((Entry(keys.RAW, entry_id, message),)).publish
    ]
    with TemporaryDirectory() as folder, closing(Database(Path(folder) / "md.db")) as database:
        for start in range(0, len(judged), batch):
            database.write(rows_of(judged[start : start + batch], 0, "word"))
        assert list(entries_between(database.connection(), BEFORE_ALL, END)) == raw
