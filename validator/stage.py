"""The validator's handler: raw entries in, trusted quotes, rejects and vendors' history out."""

from dataclasses import dataclass

import msgspec

from common import keys
from common.errors import Rejected
from common.messages import (
    Clock,
    Quote,
    Quotes,
    RawBars,
    RawQuote,
    RawQuotes,
    Reject,
    Rejects,
    SeriesChange,
    VolumeKind,
)
from common.metrics import Metrics
from common.redis_link import Link
from common.settings import Settings
from common.stage import Batch, Entry, Outcome, Publication, StageSpec
from common.symbols import TERMINAL, SymbolTable
from validator.bars import judge_bars, refuse_bars
from validator.border import clean_quote
from validator.cross_check import cross_check, measure_pairs, pair_figures, spacing_ms
from validator.memory import STAGE, FeedName, Memory, restore_memory
from validator.rules import REJECT, Case, Terms, Verdict, judge, told, traded
from validator.state import Observation, after_accepted, after_doubted, after_seen
from validator.vote import NO_OPINION, way_of

TERMINAL_HINT = "; are gmt_offset_s and this machine's clock right?"
"""A terminal's times are its broker's clock less what its client says."""
UNKNOWN = "unknown"
"""In metrics, in place of symbols that are not ours: whatever comes in must not become a label."""


@dataclass(frozen=True)
class _Arrival:
    """Where a raw quote stands."""

    source: str
    check: bool
    received_ms: int
    raw_id: str
    index: int


class Validator:
    """One partition's part of the validator. What it publishes is a pure function of the raw entries so far."""

    def __init__(self, partition: int, table: SymbolTable, settings: Settings, metrics: Metrics) -> None:
        self._partition = partition
        self._metrics = metrics
        self._memory = Memory()
        self._tick_sizes = {symbol.name: symbol.tick_size for symbol in table.symbols.values()}
        self._terms = _terms(table, settings)

    def restore(self, link: Link) -> Outcome:
        """Read the committed state."""
        self._memory = restore_memory(link, self._partition)
        return Outcome()

    def handle(self, batch: Batch) -> Outcome:
        """Judge every quote and bar of the batch."""
        publish = [publication for entry in batch for publication in self._entry(entry)]
        measure_pairs(self._memory, self._metrics)
        return Outcome(publish, self._memory.take_writes(self._partition))

    def figures(self) -> dict[str, list[dict[str, object]]]:
        """Return symbol -> how its sources compared last."""
        return pair_figures(self._memory, self._tick_sizes)

    def _entry(self, entry: Entry) -> list[Publication]:
        match entry.message:
            case RawQuotes() as message:
                return self._quotes(message, entry.id)
            case RawBars() as message:
                return self._bars(message, entry.id)
            case Clock() as clock:
                self._memory.set_now(clock.now_ms)
                return [Publication(keys.QUOTES, msgspec.structs.replace(clock, raw_id=entry.id))]
            case SeriesChange() as change:
                return [Publication(keys.QUOTES, msgspec.structs.replace(change, raw_id=entry.id))]
            case other:
                raise Rejected("unexpected_kind", f"expected {keys.RAW.kinds}, found {type(other).__name__}")

    def _quotes(self, message: RawQuotes, raw_id: str) -> list[Publication]:
        accepted: list[Quote] = []
        rejected: list[Reject] = []
        for index, raw in enumerate(message.quotes):
            judged = self._quote(raw, _Arrival(message.source, message.check, message.received_ms, raw_id, index))
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
        name = (raw.symbol, raw.source_class, way_of(at.source, at.check))
        feed = self._memory.feed(name)
        verdict = self._judge(Case(quote, feed, terms, self._memory.now_ms), name, at.check)
        if verdict.rejected is not None:
            return _reject(raw, at, verdict.rejected.reason, verdict.rejected.detail, verdict.score)
        volume = (0.0, None) if at.check else traded(feed, quote, terms.volume_kind)
        return _accept(raw, at, quote, verdict, volume, terms.volume_kind)

    def _judge(self, case: Case, name: FeedName, check: bool) -> Verdict:
        """Return the verdict, and remember what the quote teaches: a check teaches nothing of the series."""
        memory, quote, series = self._memory, case.quote, self._memory.series(name[:2])
        said, opinion, track = told(case), NO_OPINION, None
        if all(mark.penalty < REJECT for mark in said):
            opinion, track = cross_check(memory, name, quote, case.terms)
        verdict = judge(case, series, said, opinion)
        accepted = verdict.rejected is None
        # What is outvoted is compared on: else nobody would see that it agrees again.
        if track is not None and (accepted or verdict.rejected is opinion.mark):
            memory.keep_track(name, track)
        after = after_doubted(series, verdict.doubted)
        if accepted:
            after = after_accepted(series, quote, verdict.confirmed, opinion.mark is not None)
        memory.keep(name, None if check else after, after_seen(case.feed, quote, accepted))
        return verdict

    def _bars(self, message: RawBars, raw_id: str) -> list[Publication]:
        try:
            terms = self._terms_of(message.symbol, message.source_class, message.source)
            history, rejects = judge_bars(message, raw_id, terms.session)
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
        if symbol not in self._tick_sizes:
            known = ", ".join(sorted(self._tick_sizes))
            raise Rejected("unknown_symbol", f"expected one of {known}; found {symbol:.40}")
        raise Rejected("unknown_listing", f"{source:.40} is not listed for {symbol} as {source_class:.40}")

    def _label(self, symbol: str) -> str:
        return symbol if symbol in self._tick_sizes else UNKNOWN


def _terms(table: SymbolTable, settings: Settings) -> dict[FeedName, Terms]:
    """Return what is agreed of each listing. Without limits (paid plans) no source is delayed."""
    return {
        (symbol.name, listing.source_class, listing.vendor): Terms(
            tick_size=symbol.tick_size,
            delay_ms=listing.delay_s * 1000 if settings.limits == "real" else 0,
            volume_kind=listing.volume,
            lateness_ms=round(settings.lateness * 1000),
            reject_score=settings.reject_score,
            spacing_ms=spacing_ms(symbol.feed(listing.source_class), delays=settings.limits == "real"),
            session="" if listing.vendor == TERMINAL else table.session_of(symbol.name, listing.source_class),
            hint=TERMINAL_HINT if listing.vendor == TERMINAL else "",
        )
        for symbol in table.symbols.values()
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
        market_time=quote.market_time, tick=quote.tick, check=at.check, detail=verdict.detail,
    )  # fmt: skip


def _reject(raw: RawQuote, at: _Arrival, reason: str, detail: str, score: float) -> Reject:
    return Reject(
        symbol=raw.symbol, source=at.source, source_class=raw.source_class, received_ms=at.received_ms,
        reason=reason, detail=detail, score=score, raw_id=at.raw_id, raw_index=at.index, raw=raw, check=at.check,
    )  # fmt: skip


def validator_spec(table: SymbolTable, settings: Settings, metrics: Metrics) -> StageSpec:
    """Return the validator as the loop runs it."""
    handlers: list[Validator] = []

    def make_handler(partition: int) -> Validator:
        handlers.append(Validator(partition, table, settings, metrics))
        return handlers[-1]

    return StageSpec(
        name=STAGE,
        inputs=(keys.RAW,),
        outputs=(keys.QUOTES, keys.REJECTS),
        make_handler=make_handler,
        info=lambda: {"comparisons": {k: v for handler in handlers for k, v in handler.figures().items()}},
    )
