"""What `make bench` compares indicators with: the same indicators, and numbers that are near TA-Lib's."""

import pytest

from bench.contenders import kand_peer, pandas_peer, talipp_peer
from bench.contenders.accuracy import Accuracy, accuracy
from bench.contenders.batch import over_all
from bench.contenders.engine import Lanes
from bench.contenders.market import HISTORY, made, part
from bench.contenders.peers import bare, check_same, unrolled
from common.indicators import F64, load_plan

PLAN = load_plan(None).unchained()
NAMES = {name for one in PLAN.indicators for name in one.names}
LAST = slice(HISTORY - 300, HISTORY)
NEAR = 2e-4
"""The Keltner channels and SuperTrend of others begin otherwise; whoever takes another definition is far from it."""


def test_every_peer_offers_indicators_of_the_plan() -> None:
    kands = {name for one in kand_peer.offered(PLAN).indicators for name in one.names}

    assert len(kand_peer.offered(PLAN).indicators) == len(kand_peer.OFFERS)
    assert kands <= NAMES
    assert talipp_peer.NAMES <= NAMES
    assert pandas_peer.NAMES <= NAMES


@pytest.mark.parametrize("peer", ["kand", "talipp", "pandas-ta-classic"])
def test_a_peer_computes_the_same_indicators(peer: str) -> None:
    (series,) = made(1)
    if peer == "kand":
        same, places = kand_peer.offered(PLAN), slice(HISTORY, HISTORY + 300)
        found: dict[str, F64] = kand_peer.values(same, series, 300)
    elif peer == "talipp":
        same, places = part(PLAN, talipp_peer.NAMES), LAST
        found = talipp_peer.values(series, 300)
    else:
        same, places = part(PLAN, pandas_peer.NAMES), LAST
        found = pandas_peer.values(series, slice(0, HISTORY), 300)

    assert accuracy(found, over_all(same, series, places)).off < NEAR


@pytest.mark.parametrize("peer", [bare, unrolled])
def test_the_bare_handles_give_the_lanes_values(peer: object) -> None:
    market = made(2)
    other = peer(market, PLAN).make(2, HISTORY)  # type: ignore[operator]  # one of two functions
    lanes = Lanes(market, PLAN, 2, HISTORY)
    for contender in (other, lanes):
        contender.close(0)
        contender.close(1)
    check_same(lanes, other)

    lanes.close(2)
    with pytest.raises(RuntimeError, match="lane 0: expected"):
        check_same(lanes, other)


def test_accuracy_names_the_largest_difference_as_a_share_of_the_largest_number() -> None:
    (series,) = made(1)
    reference = over_all(part(PLAN, frozenset(("sma_20", "rsi_14"))), series, LAST)
    found = {"sma_20": reference["sma_20"].copy(), "rsi_14": reference["rsi_14"].copy()}
    found["rsi_14"][7] += reference["rsi_14"].max() / 8

    assert accuracy(reference, reference).off == 0.0
    assert accuracy(found, reference).name == "rsi_14"
    assert accuracy(found, reference).off == pytest.approx(0.125)
    assert str(Accuracy(0.0, "sma_20")) == "0"
