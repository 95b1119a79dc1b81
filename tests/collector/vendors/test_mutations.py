"""Damaged replies end in a verdict, never in an error, and bring no price that was not in them."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

import msgspec
import numpy as np

from collector.vendors import VENDORS
from collector.vendors.base import HistoryReading, Reading, Reply, Verdict
from common.messages import Number, RawBar, Timeframe
from tests.collector.vendors.made import NOW_MS, SAMPLES, Sample
from tests.collector.vendors.mutate import mutated
from tests.collector.vendors.support import CREDENTIALS, KEY, TOKEN, history, reply
from tests.collector.vendors.test_recorded_history import CASES as OF_HISTORY
from tests.collector.vendors.test_recorded_latest import CASES as OF_LATEST

MUTATIONS_OF_MADE = 10_500
MUTATIONS_OF_RECORDED = 4_000
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def test_damage_to_hand_made_replies_ends_in_a_verdict() -> None:
    source, verdicts = Random(20_300_318), Counter[Verdict]()
    for i in range(MUTATIONS_OF_MADE):
        sample = SAMPLES[i % len(SAMPLES)]
        verdicts[_checked(sample, mutated(reply(sample.body, sample.status, NOW_MS), source))] += 1
    assert verdicts.total() == MUTATIONS_OF_MADE
    assert verdicts.keys() == set(Verdict)  # the damage reaches every outcome


def test_damage_to_recorded_replies_ends_in_a_verdict(shared: Path) -> None:
    source, samples = Random(7), _recorded(shared)
    for i in range(MUTATIONS_OF_RECORDED):
        sample, body = samples[i % len(samples)]
        assert _checked(sample, mutated(reply(body, sample.status, 1_800_000_000_000), source)) in Verdict


def test_random_bytes_end_in_a_verdict_and_are_no_token() -> None:
    source = Random(11)
    for i in range(600):
        answer = reply(source.randbytes(source.randrange(200)), source.choice((200, 404, 500)))
        assert _checked(SAMPLES[i % len(SAMPLES)], answer) is Verdict.OUTAGE
        assert VENDORS["yahoo"].read_token(reply(source.randbytes(40))) is None


def _recorded(shared: Path) -> list[tuple[Sample, bytes]]:
    """Return every recording that is short enough to be damaged often."""
    asked: list[tuple[str, Sample]] = [(f, Sample(f.split("/")[0], c.asks, "")) for f, c in OF_LATEST.items()]
    asked += [(f, Sample(f.split("/")[0], (c.what,), "", c.timeframe)) for f, c in OF_HISTORY.items()]
    bodies = [(sample, (shared / "providers" / file).read_bytes()) for file, sample in asked]
    return [(sample, body) for sample, body in bodies if len(body) < 6_000]


def _checked(sample: Sample, answer: Reply) -> Verdict:
    """Read the reply, check all that has to hold for any reading, and return its verdict."""
    reading = _read(sample, answer)
    numbers = _numbers_in(answer.body)
    values: Iterable[Number]
    if isinstance(reading, Reading):
        values = [n for q in reading.quotes for n in (q.last, q.bid, q.ask, q.day_volume)]
        _check_quotes(sample, reading)
    else:
        values = [n for b in reading.bars for n in (b.open, b.high, b.low, b.close, b.volume)]
        _check_bars(reading.bars, sample.timeframe)
    assert all(value in numbers for value in values if isinstance(value, float)), (sample.vendor, answer)
    assert not any(secret in reading.detail for secret in (KEY, TOKEN))
    assert reading.retry_after_s is None or 0 <= reading.retry_after_s <= 86_401
    msgspec.json.encode(reading.quotes if isinstance(reading, Reading) else reading.bars)
    return reading.verdict


def _read(sample: Sample, answer: Reply) -> Reading | HistoryReading:
    adapter = VENDORS[sample.vendor]
    if sample.timeframe is None:
        return adapter.read_latest(adapter.latest(sample.asks, CREDENTIALS), answer)
    return history(sample.vendor, sample.asks[0], sample.timeframe, answer)


def _check_quotes(sample: Sample, reading: Reading) -> None:
    quoted = [q.symbol for q in reading.quotes]
    assert quoted == [a.symbol for a in sample.asks if a.symbol in quoted]
    assert not set(quoted) & set(reading.refused)
    assert (reading.verdict is Verdict.OK) == bool(quoted)
    of_the_symbol = reading.verdict in (Verdict.OK, Verdict.UNKNOWN_SYMBOL, Verdict.NOT_ENTITLED, Verdict.NO_DATA)
    assert set(quoted) | set(reading.refused) == ({a.symbol for a in sample.asks} if of_the_symbol else set())


def _check_bars(bars: tuple[RawBar, ...], timeframe: Timeframe | None) -> None:
    opens = [bar.open_ms for bar in bars]
    assert opens == sorted(set(opens))
    assert timeframe is not None


def _numbers_in(body: bytes) -> set[float]:
    """Return every number that the body spells, as double and as the decimal of its float32."""
    spelled = {float(text) for text in _NUMBER.findall(body.decode("utf-8", "replace"))}
    with np.errstate(over="ignore"):
        return spelled | {float(str(np.float32(n))) for n in spelled}
