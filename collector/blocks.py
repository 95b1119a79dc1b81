"""Which sources, and which symbols at them, are left alone after a refusal. Kept in the source's quota hash.

A refusal is not an outage: asking again at once would cost budget and anger the vendor. A block is a stored deadline,
so it holds for every collector and over restarts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from collector.vendors.base import Verdict
from common import keys
from common.redis_link import Command
from common.sources import Blocked

# A key, a plan or a name does not come right by itself within seconds; an operator who mends it waits at most this.
HOPELESS_MS = 3_600_000
# A block set further in the future than this of "now" was set before the clock was put back.
CLOCK_TOLERANCE_MS = 60_000

HOPELESS = frozenset({Verdict.BAD_KEY, Verdict.NOT_ENTITLED, Verdict.UNKNOWN_SYMBOL})

# A symbol that gave nothing so often in a row is asked less and less: some vendors say no more of a name that they do
# not know than of one without a quote just now.
EMPTY_PATIENCE = 10
EMPTY_FIRST_MS, EMPTY_LONGEST_MS = 15_000, 300_000

_PREFIX = b"blocked:"


@dataclass(frozen=True)
class Block:
    """One refusal, and how long it counts."""

    verdict: str
    at_ms: int
    until_ms: int
    detail: str = ""

    def active(self, now_ms: int) -> bool:
        """Return whether it still counts."""
        return self.at_ms - CLOCK_TOLERANCE_MS <= now_ms < self.until_ms

    def report(self) -> Blocked:
        """Return it as the source's report shows it."""
        return Blocked(self.verdict, self.until_ms, self.detail)


Blocks = Mapping[str, Block]
"""Symbol -> block; the empty name is the source as a whole."""

_decoder = msgspec.json.Decoder(Block)


def blocks_of(stored: Mapping[bytes, bytes], now_ms: int) -> dict[str, Block]:
    """Return the blocks in a quota hash that count now."""
    found = {
        field[len(_PREFIX) :].decode(): _decoder.decode(body)
        for field, body in stored.items()
        if field.startswith(_PREFIX)
    }
    return {symbol: block for symbol, block in found.items() if block.active(now_ms)}


def block_for(verdict: Verdict, now_ms: int, retry_after_s: float | None, wait_ms: int, detail: str) -> Block | None:
    """Return the block that a verdict calls for; None if the source may be asked again at once."""
    if verdict is Verdict.RATE_LIMITED:
        lasts_ms = wait_ms if retry_after_s is None else max(1_000, int(retry_after_s * 1000))
        return Block(verdict, now_ms, now_ms + lasts_ms, detail)
    if verdict is Verdict.BAD_REQUEST:
        return Block(verdict, now_ms, now_ms + wait_ms, detail)
    if verdict in HOPELESS:
        return Block(verdict, now_ms, now_ms + HOPELESS_MS, detail)
    return None


def block_for_empty(times: int, now_ms: int, detail: str) -> Block | None:
    """Return the block that so many answers without data in a row call for; None if that is not many."""
    if times < EMPTY_PATIENCE:
        return None
    lasts_ms = min(EMPTY_LONGEST_MS, EMPTY_FIRST_MS << min(times - EMPTY_PATIENCE, 8))
    return Block(Verdict.NO_DATA, now_ms, now_ms + lasts_ms, detail)


def store(source: str, symbol: str, block: Block) -> Command:
    """Return the command that keeps a block; symbol empty for the whole source."""
    return ("HSET", keys.quota(source), _PREFIX + symbol.encode(), msgspec.json.encode(block))


def lift(source: str, symbols: tuple[str, ...]) -> Command:
    """Return the command that forgets the blocks of these symbols ("" for the whole source)."""
    return ("HDEL", keys.quota(source), *[_PREFIX + symbol.encode() for symbol in symbols])
