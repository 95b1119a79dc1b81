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
from collector.vendors.frames import as_bytes
from collector.vendors.stream import FrameReading
from common.messages import Number, RawBar, Timeframe
from tests.collector.vendors.made import NOW_MS, SAMPLES, Sample
from tests.collector.vendors.mutate import mutated, mutated_frame
from tests.collector.vendors.streaming import FRAMES, Frame, conversation
from tests.collector.vendors.support import CREDENTIALS, KEY, TOKEN, history, reply
from tests.collector.vendors.test_recorded_frames import CASES as OF_FRAMES
from tests.collector.vendors.test_recorded_history import CASES as OF_HISTORY
from tests.collector.vendors.test_recorded_latest import CASES as OF_LATEST

MUTATIONS_OF_MADE = 10_500
MUTATIONS_OF_RECORDED = 4_000
MUTATIONS_OF_FRAMES, MUTATIONS_OF_RECORDED_FRAMES = 4_000, 1_000
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


def test_damage_to_hand_made_replies_ends_in_a_verdict() -> None:
    source, verdicts = Random(20_300_318), Counter[Verdict]()
    for i in range(MUTATIONS_OF_MADE):
        sample = SAMPLES[i % len(SAMPLES)]
        verdicts[_checked(sample, mutated(reply(sample.body, sample.status, NOW_MS), source))] += 1
    assert verdicts.total() == MUTATIONS_OF_MADE
    assert verdicts.keys() == set(Verdict) - {Verdict.UNCHANGED}  # the damage reaches every outcome


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


def test_damage_to_frames_ends_in_a_verdict() -> None:
    source, verdicts, quotes = Random(20_300_318), Counter[Verdict](), 0
    for i in range(MUTATIONS_OF_FRAMES):
        frame = FRAMES[i % len(FRAMES)]
        reading = _checked_frame(frame, mutated_frame(frame.text, source))
        verdicts[reading.verdict] += 1
        quotes += len(reading.quotes)
    assert verdicts.total() == MUTATIONS_OF_FRAMES
    assert verdicts.keys() >= {Verdict.OK, Verdict.OUTAGE, Verdict.BAD_KEY, Verdict.RATE_LIMITED, Verdict.NOT_ENTITLED}
    assert quotes > MUTATIONS_OF_FRAMES / 10


def test_damage_to_recorded_frames_ends_in_a_verdict(shared: Path) -> None:
    source = Random(7)
    frames = [
        Frame(file.partition("/")[0], case.asks, (shared / "providers" / file).read_text())
        for file, case in OF_FRAMES.items()
    ]
    for i in range(MUTATIONS_OF_RECORDED_FRAMES):
        frame = frames[i % len(frames)]
        assert _checked_frame(frame, mutated_frame(frame.text, source)).verdict in Verdict


def _checked_frame(frame: Frame, text: str | bytes) -> FrameReading:
    """Read the frame in a conversation of its own, and check all that has to hold for any reading."""
    talk = conversation(frame.vendor, frame.asks)
    reading, ours = talk.read(text, NOW_MS), {ask.symbol for ask in frame.asks}
    assert {q.symbol for q in reading.quotes} | {b.symbol for b in reading.bars} <= ours
    assert set(reading.subscribed) | set(reading.refused) <= ours
    assert all(q.market_ms is not None for q in reading.quotes)
    assert not any(secret in reading.detail for secret in (KEY, TOKEN))
    assert reading.verdict is Verdict.OK or (reading.detail and not reading.send)
    assert reading.retry_after_s is None or 0 <= reading.retry_after_s <= 86_401
    prices = [n for q in reading.quotes for n in (q.last, q.bid, q.ask) if n is not None]
    assert frame.vendor == "yahoo" or {n for n in prices if isinstance(n, float)} <= _numbers_in(as_bytes(text))
    msgspec.json.encode([reading.quotes, [bar.bar for bar in reading.bars]])
    return reading


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
