"""Prices where no crumb can be had: spark, as recorded, as the simulator speaks it, and damaged."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.vendors import VENDORS
from collector.vendors.base import Reading, Reply, Verdict
from common.messages import RawQuote
from tests.collector.vendors.made import EURUSD_X, NQ_F
from tests.collector.vendors.support import ask, reply
from tests.simulator.kit import START_MS, client_of, made
from tests.support_examples import examples

YAHOO = VENDORS["yahoo"]


def spark(asks: list, answer: Reply) -> Reading:
    request = YAHOO.latest_without_token(asks)
    assert request is not None
    return YAHOO.read_latest(request, answer)


def row(stamps: list, closes: list) -> dict[str, object]:
    return {"timestamp": stamps, "close": closes, "symbol": "S", "dataGranularity": 300, "previousClose": None}


def test_it_is_asked_for_in_one_call_of_at_most_twenty_symbols_without_a_crumb() -> None:
    request = YAHOO.latest_without_token([ask(f"S{n}") for n in range(25)])
    assert request is not None
    assert (request.path, request.credits, len(request.asks)) == ("/v8/finance/spark", 1, 20)
    assert dict(request.params) == {"symbols": ",".join(f"S{n}" for n in range(20)), "range": "1d", "interval": "1m"}


def test_the_newest_close_counts_with_its_own_time() -> None:
    body = {"EURUSD=X": row([1_700_000_040, 1_700_000_100, 1_700_000_130], [1.08, 1.0871233940124512, None])}
    reading = spark([EURUSD_X, NQ_F], reply(json.dumps(body)))
    assert reading.quotes == (RawQuote("EURUSD", "some_class", 1_700_000_100_000, last=1.0871234),)
    assert (reading.verdict, reading.refused) == (Verdict.OK, {"NAS100": Verdict.NO_DATA})


def test_a_block_is_a_block_here_as_well() -> None:
    reading = spark([NQ_F], reply("Too Many Requests\r\n", 429))
    assert (reading.verdict, reading.retry_after_s) == (Verdict.RATE_LIMITED, 900)
    assert spark([NQ_F], reply("{}")).verdict is Verdict.OUTAGE


def test_the_recorded_one(shared: Path) -> None:
    body = (shared / "providers" / "yahoo" / "spark_AAPL_VTI_1mo_2021.json").read_bytes()
    reading = spark([ask("AAPL"), ask("VTI")], reply(body))
    assert [(q.symbol, q.market_ms, q.last) for q in reading.quotes][:1] == [("AAPL", 1_635_364_803_000, 148.85)]
    assert len(reading.quotes) == 2


async def test_the_simulator_answers_it_without_a_cookie() -> None:
    client = client_of(made(start_ms=START_MS))
    now_ms = await client.go(120)
    told = await client.get("/yahoo/v8/finance/spark?symbols=NQ%3DF,EURUSD%3DX&range=1d&interval=1m")
    reading = spark([NQ_F, EURUSD_X], reply(told.body, told.status, now_ms))
    assert [q.symbol for q in reading.quotes] == ["NAS100", "EURUSD"]
    assert all(q.market_ms is not None and now_ms - 120_000 <= q.market_ms <= now_ms for q in reading.quotes)


@examples(200)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
                    lambda v: st.lists(v, max_size=4) | st.dictionaries(
                        st.sampled_from(["NQ=F", "timestamp", "close", "spark", "error"]), v, max_size=4)))  # fmt: skip
def test_whatever_comes_ends_in_a_verdict(body: object) -> None:
    assert spark([NQ_F], reply(json.dumps(body))).verdict in Verdict


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b'{"NQ=F": {"timestamp": [1], "close": []}}'])
def test_damaged_bodies_hold_no_price(body: bytes) -> None:
    assert spark([NQ_F], reply(body)).quotes == ()
