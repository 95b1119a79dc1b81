"""The figures of one source, counted in memory since the collector's start."""

from collections import deque
from dataclasses import dataclass, field, replace

from collector.vendors.base import Ask, Reading, Verdict
from common.messages import RawQuote

LATENCIES = 500  # newest calls that the quantiles rest on
OUTCOMES = 60  # newest calls that a symbol's quality rests on: a minute at one a second
FRESH_MS = 60_000  # a quote of a liquid symbol is never older than this while its market is open

# An answer, even the answer that there is nothing, is the vendor working as it should.
SUCCESSES = frozenset({Verdict.OK, Verdict.UNCHANGED, Verdict.NO_DATA})


@dataclass
class SymbolStats:
    """One symbol at one source."""

    source_class: str
    wants_volume: bool = False
    asked: int = 0
    served: int = 0
    last_asked_ms: int = 0
    last_market_ms: int | None = None
    last_received_ms: int | None = None
    completeness: float = 0.0
    empty: int = 0
    """Answers without data since the last quote."""
    outcomes: "deque[bool]" = field(default_factory=lambda: deque(maxlen=OUTCOMES))

    def note(self, quote: RawQuote | None, received_ms: int) -> None:
        """Count one asking, with what came of it."""
        self.asked += 1
        self.outcomes.append(quote is not None)
        if quote is None:
            return
        self.served += 1
        self._came(quote, received_ms)

    def pushed(self, quote: RawQuote, received_ms: int) -> None:
        """Count a quote that came unasked."""
        self.outcomes.append(True)
        self._came(quote, received_ms)

    def _came(self, quote: RawQuote, received_ms: int) -> None:
        self.empty = 0
        self.last_received_ms = received_ms
        self.last_market_ms = quote.market_ms
        self.completeness = completeness(quote, wants_volume=self.wants_volume)

    def quality(self, now_ms: int, allowed_age_ms: int) -> float | None:
        """Return the quality in [0, 1]; None if it was never asked for."""
        if not self.outcomes:
            return None
        newest = self.last_market_ms if self.last_market_ms is not None else self.last_received_ms
        fresh = 0.0 if newest is None else min(1.0, allowed_age_ms / max(1, now_ms - newest))
        success = sum(self.outcomes) / len(self.outcomes)
        return round(0.4 * fresh + 0.4 * success + 0.2 * self.completeness, 4)


class SourceStats:
    """One source: its calls, and its symbols."""

    def __init__(self) -> None:
        self.total = self.success = self.failed = 0
        self.last_error = ""
        self.last_verdict: Verdict | None = None
        self._latencies_ms: deque[float] = deque(maxlen=LATENCIES)
        self.symbols: dict[str, SymbolStats] = {}
        self._told: dict[str, RawQuote] = {}

    def weighed(self, reading: Reading) -> Reading:
        """Return the reading in the light of those before.

        UNCHANGED in place of OK if each quote is word for word its symbol's last one; NO_DATA in place of
        UNKNOWN_SYMBOL where the symbol has had a price: vendors leave one out of a reply now and then.
        """
        reading = self._not_unknown(reading)
        same = all(self._told.get(quote.symbol) == quote for quote in reading.quotes)
        self._told |= {quote.symbol: quote for quote in reading.quotes}
        return replace(reading, verdict=Verdict.UNCHANGED) if same and reading.verdict is Verdict.OK else reading

    def _not_unknown(self, reading: Reading) -> Reading:
        lapses = {s for s, why in reading.refused.items() if why is Verdict.UNKNOWN_SYMBOL and s in self._told}
        if not lapses:
            return reading
        refused = {s: Verdict.NO_DATA if s in lapses else why for s, why in reading.refused.items()}
        verdict = Verdict.NO_DATA if reading.verdict is Verdict.UNKNOWN_SYMBOL else reading.verdict
        return replace(reading, verdict=verdict, refused=refused)

    def call(self, verdict: Verdict, latency_s: float, detail: str) -> None:
        """Count one call."""
        self.total += 1
        self.last_verdict = verdict
        if verdict is not Verdict.OUTAGE:
            self._latencies_ms.append(latency_s * 1000)
        if verdict in SUCCESSES:
            self.success += 1
            self.last_error = ""
        else:
            self.failed += 1
            self.last_error = f"{verdict}: {detail}"

    def symbol(self, ask: Ask) -> SymbolStats:
        """Return the figures of one symbol, from zero at first."""
        return self.symbols.setdefault(ask.symbol, SymbolStats(ask.source_class, ask.volume_kind == "traded"))

    def latency_ms(self) -> tuple[float | None, float | None]:
        """Return the 95th percentile (nearest rank) and the mean of the newest answered calls; None without any."""
        if not self._latencies_ms:
            return None, None
        ascending = sorted(self._latencies_ms)
        rank = max(0, -(-95 * len(ascending) // 100) - 1)
        return round(ascending[rank], 3), round(sum(ascending) / len(ascending), 3)


def completeness(quote: RawQuote, *, wants_volume: bool) -> float:
    """Return the share of the fields one may expect that the quote has: a price, a market time, a volume if traded."""
    has = [
        quote.last is not None or (quote.bid is not None and quote.ask is not None),
        quote.market_ms is not None,
    ]
    if wants_volume:
        has.append(quote.day_volume is not None)
    return sum(has) / len(has)
