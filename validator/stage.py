"""The validator's handler: raw entries in, trusted quotes, rejects and vendors' history out."""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from common import keys
from common.errors import Rejected
from common.messages import Clock, Quote, Quotes, RawBars, RawQuote, RawQuotes, Reject, Rejects, VolumeKind
from common.metrics import Metrics
from common.redis_link import Link
from common.settings import Settings
from common.stage import Batch, Entry, Outcome, Publication, StageSpec
from common.symbols import Symbol, SymbolTable
from validator.bars import judge_bars, refuse_bars
from validator.border import clean_quote
from validator.memory import STAGE, FeedName, Memory, restore_memory
from validator.rules import Case, Terms, Verdict, judge, traded
from validator.state import Observation, after_accepted, after_doubted, after_seen

UNKNOWN = "unknown"
"""In metrics, in place of symbols that are not ours: whatever comes in must not become a label."""


@dataclass(frozen=True)
class _Arrival:
    """Where a raw quote stands."""

    source: str
    received_ms: int
    raw_id: str
    index: int


class Validator:
    """One partition's part of the validator. What it publishes is a pure function of the raw entries so far."""

    def __init__(self, partition: int, table: SymbolTable, settings: Settings, metrics: Metrics) -> None:
        self._partition = partition
        self._metrics = metrics
        self._memory = Memory()
        self._symbols = frozenset(table.symbols)
        self._terms = _terms(table.symbols.values(), settings)

    def restore(self, link: Link) -> Outcome:
        """Read the committed state."""
        self._memory = restore_memory(link, self._partition)
        return Outcome()

    def handle(self, batch: Batch) -> Outcome:
        """Judge every quote and bar of the batch."""
        publish = [publication for entry in batch for publication in self._entry(entry)]
        return Outcome(publish, self._memory.take_writes(self._partition))

    def _entry(self, entry: Entry) -> list[Publication]:
        match entry.message:
            case RawQuotes() as message:
                return self._quotes(message, entry.id)
            case RawBars() as message:
                return self._bars(message, entry.id)
            case Clock() as clock:
                self._memory.set_now(clock.now_ms)
                return [Publication(keys.QUOTES, msgspec.structs.replace(clock, raw_id=entry.id))]
            case other:
                raise Rejected("unexpected_kind", f"expected {keys.RAW.kinds}, found {type(other).__name__}")

    def _quotes(self, message: RawQuotes, raw_id: str) -> list[Publication]:
        accepted: list[Quote] = []
        rejected: list[Reject] = []
        for index, raw in enumerate(message.quotes):
            judged = self._quote(raw, _Arrival(message.source, message.received_ms, raw_id, index))
            if isinstance(judged, Quote):
                accepted.append(judged)
                self._metrics.count("md_quotes_accepted_total", symbol=raw.symbol)
            else:
                rejected.append(judged)
                self._metrics.count("md_quotes_rejected_total", symbol=self._label(raw.symbol), reason=judged.reason)
        publications = [Publication(keys.QUOTES, Quotes(tuple(accepted)))] if accepted else []
        return publications + ([Publication(keys.REJECTS, Rejects(tuple(rejected)))] if rejected else [])

    def _quote(self, raw: RawQuote, at: _Arrival) -> Quote | Reject:
        try:
            terms = self._terms_of(raw.symbol, raw.source_class, at.source)
            quote = clean_quote(raw, at.received_ms)
        except Rejected as e:
            return _reject(raw, at, e.reason, e.detail, 0.0)
        memory, name = self._memory, (raw.symbol, raw.source_class, at.source)
        series, feed = memory.series(name[:2]), memory.feed(name)
        verdict = judge(Case(quote, feed, terms, memory.now_ms), series)
        seen = after_seen(feed, quote, verdict.rejected is None)
        if verdict.rejected is not None:
            memory.keep(name, after_doubted(series, verdict.doubted), seen)
            return _reject(raw, at, verdict.rejected.reason, verdict.rejected.detail, verdict.score)
        memory.keep(name, after_accepted(series, quote, verdict.confirmed), seen)
        return _accept(raw, at, quote, verdict, traded(feed, quote, terms.volume_kind), terms.volume_kind)

    def _bars(self, message: RawBars, raw_id: str) -> list[Publication]:
        try:
            self._terms_of(message.symbol, message.source_class, message.source)
            history, rejects = judge_bars(message, raw_id)
        except Rejected as e:
            history, rejects = refuse_bars(message, raw_id, e)
        for reject in rejects:
            self._metrics.count("md_bars_rejected_total", symbol=self._label(message.symbol), reason=reject.reason)
        publications = [Publication(keys.QUOTES, history)]
        return publications + ([Publication(keys.REJECTS, Rejects(rejects))] if rejects else [])

    def _terms_of(self, symbol: str, source_class: str, source: str) -> Terms:
        terms = self._terms.get((symbol, source_class, source))
        if terms is not None:
            return terms
        if symbol not in self._symbols:
            raise Rejected("unknown_symbol", f"expected one of {', '.join(sorted(self._symbols))}; found {symbol:.40}")
        raise Rejected("unknown_listing", f"{source:.40} is not listed for {symbol} as {source_class:.40}")

    def _label(self, symbol: str) -> str:
        return symbol if symbol in self._symbols else UNKNOWN


def _terms(symbols: Iterable[Symbol], settings: Settings) -> dict[FeedName, Terms]:
    """Return what is agreed of each listing. Without limits (paid plans) no source is delayed."""
    return {
        (symbol.name, listing.source_class, listing.vendor): Terms(
            tick_size=symbol.tick_size,
            delay_ms=listing.delay_s * 1000 if settings.limits == "real" else 0,
            volume_kind=listing.volume,
            lateness_ms=round(settings.lateness * 1000),
            reject_score=settings.reject_score,
        )
        for symbol in symbols
        for listing in symbol.sources
    }


def _accept(
    raw: RawQuote,
    at: _Arrival,
    quote: Observation,
    verdict: Verdict,
    volume: tuple[float, str | None],
    kind: VolumeKind,
) -> Quote:
    traded_volume, unknown = volume
    return Quote(
        symbol=raw.symbol, source=at.source, source_class=raw.source_class,
        market_ms=quote.market_ms, received_ms=at.received_ms, price=quote.price,
        raw_id=at.raw_id, raw_index=at.index,
        last=quote.last, bid=quote.bid, ask=quote.ask, day_volume=quote.day_volume,
        volume=traded_volume, volume_kind=kind,
        score=verdict.score, reasons=(*verdict.reasons, unknown) if unknown else verdict.reasons,
        market_time=quote.market_time, tick=quote.tick,
    )  # fmt: skip


def _reject(raw: RawQuote, at: _Arrival, reason: str, detail: str, score: float) -> Reject:
    return Reject(
        symbol=raw.symbol, source=at.source, source_class=raw.source_class, received_ms=at.received_ms,
        reason=reason, detail=detail, score=score, raw_id=at.raw_id, raw_index=at.index, raw=raw,
    )  # fmt: skip


def validator_spec(table: SymbolTable, settings: Settings, metrics: Metrics) -> StageSpec:
    """Return the validator as the loop runs it."""
    return StageSpec(
        name=STAGE,
        inputs=(keys.RAW,),
        outputs=(keys.QUOTES, keys.REJECTS),
        make_handler=lambda partition: Validator(partition, table, settings, metrics),
    )
