"""The rules: each says one thing of one quote, or nothing. All are pure: (state, quote, now) -> verdict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from common.messages import AHEAD_MS, VolumeKind
from common.sessions import is_open, next_open_ms, trades_within
from validator.moves import Mark, Step, step_from
from validator.state import Feed, Level, Observation, Series, identity, is_new_session
from validator.vote import NO_OPINION, Opinion

REJECT = 1.0

# Closing auctions, a vendor's last print, the first indications: what is further from trading is no market's price.
NEAR_TRADING_MS = 900_000
# What a source shows later than its declared delay: tolerated, then a lower score, then quarantine.
LAG_MS = 5_000
LAG_LIMIT_MS = 120_000
# No session closes for so long: beyond, a price is old whatever the market does.
AGE_LIMIT_MS = 7 * 86_400_000
# `last` may lie outside bid and ask by the spread and this; beyond the limit they speak of different moments.
OUTSIDE = 0.001
OUTSIDE_LIMIT = 0.01
WIDE_SPREAD = 0.005
VOLUME_GAP_MS = 60_000
BAR_MS = 1_000  # the shortest bar, to which "late" refers


@dataclass(frozen=True, slots=True)
class Terms:
    """What is agreed of a listing, and the thresholds."""

    tick_size: float
    delay_ms: int
    volume_kind: VolumeKind
    lateness_ms: int
    reject_score: float
    spacing_ms: int
    """Between the samples that are kept to compare its class's sources with each other."""
    session: str = ""
    """When the instrument trades; empty: nobody but its broker knows."""
    hint: str = ""
    """What to look at where its times are wrong."""


class Case(NamedTuple):
    """One quote before its judges."""

    quote: Observation
    feed: Feed | None
    terms: Terms
    now_ms: int | None
    """Of the last clock entry; None before the first."""


class Verdict(NamedTuple):
    """What became of a quote."""

    score: float
    reasons: tuple[str, ...]
    rejected: Mark | None
    """The worst that was found, where it was too much."""
    doubted: Level | None
    confirmed: bool
    detail: str = ""
    """Of what only a detail explains, where the quote is accepted."""


def crossed(case: Case) -> Mark | None:
    """A bid above the ask is no market."""
    bid, ask = case.quote.bid, case.quote.ask
    if bid is None or ask is None or bid <= ask:
        return None
    return Mark("crossed_quote", REJECT, f"expected bid <= ask, found {bid} > {ask}")


def future(case: Case) -> Mark | None:
    """A market time after receipt is a wrong clock or a wrong unit."""
    ahead_ms = case.quote.market_ms - case.quote.received_ms
    if ahead_ms <= AHEAD_MS:
        return None
    return Mark("future", REJECT, f"market time {ahead_ms} ms after receipt{case.terms.hint}")


def closed(case: Case) -> Mark | None:
    """A price of closed hours: banks test their lines then, and vendors pass on what they send, percents away."""
    session, at_ms = case.terms.session, case.quote.market_ms
    if not session or not case.quote.market_time or is_open(session, at_ms):
        return None
    if trades_within(session, at_ms - NEAR_TRADING_MS, at_ms + NEAR_TRADING_MS + 1):
        return None
    return Mark("closed", REJECT, closed_detail(session, at_ms))


def closed_detail(session: str, at_ms: int) -> str:
    """Return why a time is none at which the session trades."""
    opens = datetime.fromtimestamp(next_open_ms(session, at_ms) // 1000, UTC)
    return f"session {session} is closed; opens {opens:%Y-%m-%dT%H:%MZ}"


def duplicate(case: Case) -> Mark | None:
    """The same quote of the same source again says nothing new."""
    if case.feed is None or case.feed.seen != identity(case.quote):
        return None
    return Mark("duplicate", REJECT, f"equals the one received at {case.feed.received_ms}")


def stale(case: Case) -> Mark | None:
    """A quote is stale if the source held it back, which shows when an earlier poll should have brought it already.

    Age alone says nothing: the last price of a closed or quiet market is as old as its last trade.
    """
    quote, feed = case.quote, case.feed
    if not quote.market_time:
        return None
    age_ms = quote.received_ms - quote.market_ms - case.terms.delay_ms
    if age_ms > AGE_LIMIT_MS:
        return Mark("stale", REJECT, f"{age_ms / 86_400_000:.1f} days old{case.terms.hint}")
    before_ms = feed.asked_before(quote.received_ms) if feed is not None else None
    if feed is None or before_ms is None or age_ms <= LAG_MS:
        return None
    lag_ms = before_ms - quote.market_ms - case.terms.delay_ms
    unchanged = feed.seen[0] == quote.market_ms and feed.seen_price == quote.price
    if unchanged or lag_ms <= LAG_MS:
        return None
    detail = f"not shown at {before_ms}, {lag_ms} ms after it was due{case.terms.hint}"
    return Mark("stale", REJECT if lag_ms > LAG_LIMIT_MS else 0.4 * lag_ms / LAG_LIMIT_MS, detail)


def out_of_order(case: Case) -> Mark | None:
    """An older quote after a newer one of the same source."""
    newest_ms = case.feed.newest_ms if case.feed else None
    if newest_ms is None or case.quote.market_ms >= newest_ms:
        return None
    return Mark("out_of_order", 0.1, f"{newest_ms - case.quote.market_ms} ms older than the newest")


def last_outside(case: Case) -> Mark | None:
    """A last price far from bid and ask: one of them is of another moment."""
    last, bid, ask = case.quote.last, case.quote.bid, case.quote.ask
    if last is None or bid is None or ask is None or bid <= last <= ask:
        return None
    outside = max(bid - last, last - ask) / last
    if outside <= OUTSIDE + max(0.0, ask - bid) / last:
        return None
    penalty = REJECT if outside > OUTSIDE_LIMIT else 0.3
    return Mark("last_outside", penalty, f"last {last} outside {bid} .. {ask} by {outside:.3%}")


def wide_spread(case: Case) -> Mark | None:
    """A middle price between far sides is a guess."""
    bid, ask = case.quote.bid, case.quote.ask
    if case.quote.last is not None or bid is None or ask is None or ask - bid <= WIDE_SPREAD * bid:
        return None
    return Mark("wide_spread", 0.2, f"{bid} .. {ask}")


def late(case: Case) -> Mark | None:
    """A quote whose 1 s bar closed before it came: good, but in no bar."""
    if case.now_ms is None:
        return None
    bar_end_ms = (case.quote.market_ms // BAR_MS + 1) * BAR_MS
    closed = bar_end_ms + case.terms.lateness_ms + case.terms.delay_ms <= case.now_ms
    return Mark("late", 0.0) if closed else None


RULES: tuple[Callable[[Case], Mark | None], ...] = (
    crossed, future, closed, duplicate, stale, out_of_order, last_outside, wide_spread, late,
)  # fmt: skip


def told(case: Case) -> list[Mark]:
    """Return what the rules say of the quote by itself."""
    return [mark for rule in RULES if (mark := rule(case)) is not None]


def judge(case: Case, series: Series | None, said: Sequence[Mark], opinion: Opinion = NO_OPINION) -> Verdict:
    """Return the verdict of all rules and of the other sources. A penalty of 1, or a low score, rejects."""
    step = step_from(series, case.quote, case.terms.tick_size)
    if opinion.supported and step.mark is not None and series is not None:
        step = Step(Mark("level_confirmed", 0.0, "most of the other sources show it"), None, confirmed=True)
    marks = [*said, *(mark for mark in (opinion.mark, step.mark) if mark is not None)]
    if not marks:
        return Verdict(1.0, (), None, step.doubted, step.confirmed)
    score = max(0.0, 1.0 - sum(mark.penalty for mark in marks))
    worst = max(marks, key=lambda mark: mark.penalty)  # the first of equals
    bad = worst.penalty >= REJECT or score < case.terms.reject_score
    # What other rules or other sources refuse is no witness for a new level.
    doubted = step.doubted if worst is step.mark or not bad else None
    detail = opinion.mark.detail if opinion.mark is not None else ""
    reasons = tuple(mark.reason for mark in marks)
    return Verdict(score, reasons, worst if bad else None, doubted, step.confirmed, detail)


def traded(feed: Feed | None, quote: Observation, kind: VolumeKind) -> tuple[float, str | None]:
    """Return the volume since the previous quote of the same source, and why it is not known."""
    if kind == "none":
        return 0.0, None
    if quote.day_volume is None:
        return (1.0 if kind == "ticks" else 0.0), None  # a quote is one tick; trades are not known
    if feed is None or feed.day_volume is None or feed.volume_ms is None or quote.market_ms < feed.volume_ms:
        return 0.0, None
    fresh = is_new_session(feed.day_volume, quote.day_volume)
    delta = quote.day_volume if fresh else max(0.0, quote.day_volume - feed.day_volume)
    if delta > 0 and quote.market_ms - feed.volume_ms > VOLUME_GAP_MS:
        return 0.0, "volume_gap"
    return delta, None
