"""From the raw stream through validator and storer: what a check and a doubt leave in the history; both come back."""

import sqlite3
from contextlib import closing
from pathlib import Path

from common import keys
from common.history import History
from common.messages import Clock
from common.metrics import Metrics
from common.stage import Entry
from storer.database import Database
from storer.rebuild import raw_entries
from storer.stage import Storer
from tests.validator.support import T0, arrived, messages, quote, validator

RAW = tuple(
    entry
    for i in range(4)
    for entry in (
        arrived(quote(1.1 + i * 1e-5, T0 + i * 1_000), source="yahoo", name=f"{i + 1}-0"),
        arrived(
            quote(1.102 + i * 1e-5, T0 + i * 1_000), quote(11.0, T0 + i * 1_000 + 1),
            source="polygon", name=f"{i + 1}-1", check=True,
        ),
        Entry(keys.RAW, f"{i + 1}-2", Clock(i + 1, T0 + i * 1_000 + 500, 0)),
    )
)  # fmt: skip


def test_checks_and_doubts_are_stored_and_the_raw_stream_comes_back_with_them(tmp_path: Path) -> None:
    judge, path = validator("none"), tmp_path / "md.db"
    published = [message for entry in RAW for message in messages(judge.handle((entry,)))]
    with_database(path, [Entry(keys.QUOTES, f"{n}-0", message) for n, message in enumerate(published, 1)])

    quotes = History(path).quotes("EURUSD", T0 + 60_000, 100)
    assert {(q.source, q.check) for q in quotes} == {("yahoo", False), ("polygon", True)}
    doubted = [q for q in quotes if "disagrees" in q.reasons]
    assert len(doubted) > 4
    assert all("yahoo" in q.detail and "polygon (check)" in q.detail and "bp" in q.detail for q in doubted)
    assert {(r.source, r.reason, r.check) for r in History(path).rejects("EURUSD", T0 + 60_000, 100)} == {
        ("polygon", "spike", True)
    }
    with closing(sqlite3.connect(path)) as connection:
        again = list(raw_entries(connection, T0, T0 + 60_000))
    assert again == [(entry.id, entry.message) for entry in RAW]


def with_database(path: Path, batch: list[Entry]) -> None:
    """Have a storer write the batch."""
    with closing(Database(path)) as database:
        Storer(0, database, Metrics("storer")).handle(tuple(batch))
