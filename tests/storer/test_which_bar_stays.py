"""Of two bars of one time SQLite and the feature engine keep the same one."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.bars import pack, to_bar
from common.history import read_bars
from common.messages import Bar
from features.bar_window import BarWindow
from storer.database import Database
from storer.rows import bar_row
from tests.storer.values import T0, bar
from tests.support_examples import examples

KINDS = (
    {"origin": "built", "complete": True}, {"origin": "built", "complete": False},
    {"origin": "vendor", "source": "yahoo", "ticks": 0}, {"origin": "vendor", "source": "polygon", "ticks": 0},
)  # fmt: skip
ARRIVALS = st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from([1.0, 2.0, 3.0])), min_size=1, max_size=6)


def made(kind: dict, close: float) -> Bar:
    return bar(0, close=1929.5 + close, **kind)


def in_sqlite(database: Database, arrivals: list[tuple[dict, float]]) -> Bar:
    database.connection().execute("DELETE FROM bars")
    for kind, close in arrivals:
        one = made(kind, close)
        database.write({"bars": [bar_row(one, one.origin)]})
    return read_bars(database.connection(), "XAUUSD", "gold_spot", "1m", T0 * 2, 5)[0]


def in_the_engine(arrivals: list[tuple[dict, float]]) -> Bar:
    window = BarWindow("XAUUSD|1m", 60_000, 100, 10)
    for kind, close in arrivals:
        one = made(kind, close)
        window.merge({one.open_ms: pack(one)})
    return to_bar(window.stored()[0], "XAUUSD", "1m", "gold_spot")


@pytest.mark.parametrize("kinds", [*product(KINDS, repeat=2)], ids=str)
def test_any_two_bars_in_either_order(database: Database, kinds: tuple[dict, dict]) -> None:
    arrivals = [(kind, 1.0 + place) for place, kind in enumerate(kinds)]
    assert in_sqlite(database, arrivals) == in_the_engine(arrivals)


def test_any_sequence_of_bars(path: Path) -> None:
    database = Database(path)
    database.connection().execute("PRAGMA synchronous = OFF")

    @examples(60)
    @given(arrivals=ARRIVALS)
    def same(arrivals: list[tuple[dict, float]]) -> None:
        assert in_sqlite(database, arrivals) == in_the_engine(arrivals)

    same()
    database.close()


def test_a_vendors_later_word_on_its_own_bar_counts_and_another_vendors_does_not(database: Database) -> None:
    yahoo, polygon = KINDS[2], KINDS[3]
    assert in_sqlite(database, [(yahoo, 1.0), (yahoo, 2.0), (polygon, 3.0)]) == made(yahoo, 2.0)
