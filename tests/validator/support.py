"""A validator in hand, raw entries, and a stand-in for Redis that keeps one hash."""

from collections.abc import Iterable, Sequence
from typing import NoReturn

from common import keys
from common.messages import (
    AnyMessage,
    Clock,
    HistoryBars,
    Number,
    Quote,
    Quotes,
    RawBar,
    RawBars,
    RawQuote,
    RawQuotes,
    Reject,
    Rejects,
)
from common.metrics import Metrics
from common.redis_link import Command, Link, Reply
from common.settings import Settings
from common.stage import Entry, Outcome
from common.symbols import load_symbols
from validator.stage import Validator

T0 = 1_767_621_600_000
"""Monday 2026-01-05 14:00 UTC."""
NEW_YORK_OPEN = T0 + 1_800_000
"""09:30 there: the cash indices trade."""
TABLE = load_symbols(["NAS100", "XAUUSD", "EURUSD"])


class HashLink(Link):
    """Keeps what HSET commands wrote to hashes, and answers HGETALL."""

    def __init__(self) -> None:
        super().__init__(_no_connection, "memory")
        self.hashes: dict[str, dict[bytes, bytes]] = {}

    def apply(self, commands: Iterable[Command]) -> None:
        """Do what a committed outcome's writes say."""
        for name, key, *pairs in commands:
            assert name == "HSET"
            stored = self.hashes.setdefault(str(key), {})
            for field, value in zip(pairs[::2], pairs[1::2], strict=True):
                assert isinstance(value, bytes)
                stored[str(field).encode()] = value

    def call(self, *command: str | bytes | float) -> Reply:
        """Answer HGETALL."""
        assert command[0] == "HGETALL"
        return [part for pair in self.hashes.get(str(command[1]), {}).items() for part in pair]


def _no_connection() -> NoReturn:
    raise AssertionError("no connection in this test")


def settings(limits: str = "real", reject_score: float = 0.5) -> Settings:
    """Return the settings of the tests: LATENESS 2 s."""
    return Settings.model_validate({"limits": limits, "reject_score": reject_score})


def validator(limits: str = "real", reject_score: float = 0.5) -> Validator:
    """Return a validator of partition 0 without a past."""
    return Validator(0, TABLE, settings(limits, reject_score), Metrics("validator"))


def quote(
    last: Number = None, at_ms: int | None = T0, *, bid: Number = None, ask: Number = None, day_volume: Number = None,
    tick: int | None = None, symbol: str = "EURUSD", source_class: str = "fx_spot",
) -> RawQuote:  # fmt: skip
    """Return a raw quote, of EURUSD unless told otherwise."""
    return RawQuote(symbol, source_class, at_ms, last, bid, ask, day_volume, tick)


def arrived(
    *quotes: RawQuote, received_ms: int | None = None, source: str = "polygon", name: str = "1-0", check: bool = False
) -> Entry:
    """Return the raw entry of one reply; it came 300 ms after its last market time unless told otherwise."""
    newest = max((q.market_ms for q in quotes if q.market_ms is not None), default=T0)
    return Entry(keys.RAW, name, RawQuotes(source, newest + 300 if received_ms is None else received_ms, quotes, check))


def clock(now_ms: int, name: str = "9-0", cycle: int = 1) -> Entry:
    """Return a clock entry."""
    return Entry(keys.RAW, name, Clock(cycle, now_ms, 0))


def history(bars: Sequence[RawBar], symbol: str = "NAS100", source: str = "yahoo") -> Entry:
    """Return the raw entry of a backfill answer of one-minute bars, received at T0."""
    return Entry(keys.RAW, "5-0", RawBars("r1", source, "cme_nq_future", symbol, "1m", T0, "traded", tuple(bars)))


def messages(outcome: Outcome) -> list[AnyMessage]:
    """Return what an outcome publishes, after checking that each message goes where its kind belongs."""
    found: list[AnyMessage] = []
    for publication in outcome.publish:
        message = publication.message
        assert isinstance(message, Quotes | Rejects | Clock | HistoryBars)
        assert publication.stream is (keys.REJECTS if isinstance(message, Rejects) else keys.QUOTES)
        found.append(message)
    return found


def judged(judge: Validator, *entries: Entry) -> list[Quote | Reject]:
    """Return the quotes and rejects that the entries lead to, one batch per entry."""
    found: list[Quote | Reject] = []
    for entry in entries:
        for message in messages(judge.handle((entry,))):
            if isinstance(message, Quotes):
                found.extend(message.quotes)
            elif isinstance(message, Rejects):
                found.extend(message.rejects)
    return found


def only(judge: Validator, entry: Entry) -> Quote | Reject:
    """Return what became of the one quote of the entry."""
    (verdict,) = judged(judge, entry)
    return verdict


def story(verdicts: Sequence[Quote | Reject]) -> list[str]:
    """Return for each verdict "ok", "ok:reasons" or "reject:reason"."""
    return [
        f"reject:{v.reason}"
        if isinstance(v, Reject)
        else ":".join(["ok", *([",".join(v.reasons)] if v.reasons else [])])
        for v in verdicts
    ]
