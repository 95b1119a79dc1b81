"""Real prices pass, and defects put among them don't. Every file was measured; a sample of them is kept as a test."""

import csv
import gzip
import random
from pathlib import Path

import pytest

from common import keys
from common.messages import RawQuote, RawQuotes, Reject
from common.stage import Entry
from tests.validator.support import judged, validator

Tick = tuple[int, float | None, float | None, float | None]


def bar_ticks(path: Path, n: int) -> list[Tick]:
    """Return the first n bars as open, high, low and close, 15 s apart."""
    with gzip.open(path, "rt") as file:
        rows = list(csv.reader(file))[1 : n + 1]
    return [(int(row[0]) * 1000 + 15_000 * i, float(row[1 + i]), None, None) for row in rows for i in range(4)]


def quote_ticks(path: Path, n: int) -> list[Tick]:
    with gzip.open(path, "rt") as file:
        rows = list(csv.reader(file))[1 : n + 1]
    return [(int(row[0]), None, float(row[1]), float(row[2])) for row in rows]


def rejects(ticks: list[Tick], listing: tuple[str, str, str]) -> list[Reject]:
    symbol, source_class, source = listing
    judge = validator("none")
    found = [
        verdict
        for at_ms, last, bid, ask in ticks
        for verdict in judged(
            judge,
            Entry(
                keys.RAW,
                "1-0",
                RawQuotes(source, at_ms + 300, (RawQuote(symbol, source_class, at_ms, last, bid, ask),)),
            ),
        )
    ]
    assert len(found) == len(ticks)
    return [verdict for verdict in found if isinstance(verdict, Reject)]


NAS = ("NAS100", "cme_nq_future", "yahoo")
GOLD = ("XAUUSD", "gold_spot", "polygon")
EURO = ("EURUSD", "fx_spot", "polygon")


@pytest.mark.parametrize(
    ("name", "listing"),
    [("NAS100_M1_2022-01", NAS), ("EURUSD_M1bid_2014-05a", EURO), ("XAUUSD_M1_2020-05_08", GOLD)],
)
def test_real_bars_played_as_ticks_have_no_false_rejects(
    shared: Path, name: str, listing: tuple[str, str, str]
) -> None:
    # NAS100 has the FOMC day of 2022-01-26, EURUSD the NFP of 2014-05-02.
    assert rejects(bar_ticks(shared / "market" / f"{name}.csv.gz", 10_000), listing) == []


@pytest.mark.parametrize(
    ("name", "listing"), [("quotes_EURUSD_2014-05-01_08", EURO), ("quotes_XAUUSD_2014-05-02", GOLD)]
)
def test_real_quotes_have_no_false_rejects(shared: Path, name: str, listing: tuple[str, str, str]) -> None:
    assert rejects(quote_ticks(shared / "market" / f"{name}.csv.gz", 30_000), listing) == []


def test_defects_among_real_prices_are_caught_and_nothing_else(shared: Path) -> None:
    ticks = bar_ticks(shared / "market" / "US500_M1_2022-01.csv.gz", 5_000)
    dice = random.Random(5)
    bad_at = {place for place in range(100, len(ticks)) if dice.random() < 0.005}
    for place in bad_at:
        at_ms, last, bid, ask = ticks[place]
        assert last is not None
        ticks[place] = (at_ms, last * dice.choice([10.0, 0.1, 1.02, 0.98, 0.0, -1.0]), bid, ask)
    found = rejects(ticks, NAS)
    times = {ticks[place][0] for place in bad_at}
    assert len(bad_at) > 80
    assert {reject.received_ms - 300 for reject in found} == times
    assert {reject.reason for reject in found} == {"spike", "not_positive"}
