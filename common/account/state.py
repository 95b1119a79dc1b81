"""What an account has done so far, as its rules see it: pure, from one observation of its equity to the next."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from common.account.rules import AccountRules

DAY_MS = 86_400_000
TOLD_FOR_MS = 60_000
"""How long a balance that was told stands for that of now, whatever is open: heartbeats come each few seconds."""
UNTIL_RESET = ("daily_loss", "daily_profit_cap")
FOR_EVER = 0
"""As the end of a block: only another account begins anew."""


class AccountState(Struct, frozen=True):
    """Money in account currency, times in the stream's time."""

    start: float
    equity: float
    balance: float
    """As it was told; else the equity when no position was open."""
    seen_ms: int
    reset_ms: int
    """When the firm's next day begins."""
    anchor: float
    """What the daily loss is counted from."""
    peak_equity: float
    peak_balance: float
    peak_day_end: float
    """The highest balance at the end of a day, or the start balance."""
    blocked: dict[str, int] = {}
    """Limit that was reached -> until when."""
    told_ms: int | None = None
    """When the balance was told last; None: never."""


class Limit(Struct, frozen=True):
    """One limit now: at `level` of equity, or beyond it, nothing is advised."""

    reason: str
    level: float
    until_ms: int
    """FOR_EVER, or the reset."""
    is_cap: bool = False
    """Whether it is reached from below."""

    def reached(self, equity: float) -> bool:
        """Tell whether this equity is at the limit or beyond."""
        return equity >= self.level if self.is_cap else equity <= self.level


def begin(rules: AccountRules, start: float, equity: float, at_ms: int) -> AccountState:
    """Return the state at the first observation. What was before isn't known.

    The day is counted from the higher of start and equity. Peaks are for good: they begin at the start, and rise with
    the next observation that agrees.
    """
    anchor = max(start, equity)
    return AccountState(start, equity, equity, at_ms, next_reset_ms(rules, at_ms), anchor, start, start, start)


def observe(
    state: AccountState, rules: AccountRules, equity: float, at_ms: int, balance: float | None, flat: bool
) -> AccountState:
    """Return the state after an observation. balance: None where nobody told it; flat: no position is open.

    A peak, and a limit that was reached, count once two observations in a row agree: one caller's wrong number neither
    raises a floor nor ends an account. One from before the last is ignored, unless it is from more than a day before:
    then the clock was wrong and has been set right.
    """
    if at_ms < state.seen_ms - DAY_MS:
        state = msgspec.structs.replace(state, seen_ms=at_ms, reset_ms=next_reset_ms(rules, at_ms))
    if at_ms < state.seen_ms:
        return state
    known = balance if balance is not None else (equity if flat else state.balance)
    told_ms = state.told_ms if balance is None else at_ms
    if at_ms >= state.reset_ms:
        told_lately = told_ms is not None and at_ms - told_ms <= TOLD_FOR_MS
        state = _next_day(state, rules, equity, known, at_ms, sure=flat or told_lately)
    sure = min(equity, state.equity)
    moved = msgspec.structs.replace(
        state, peak_equity=max(state.peak_equity, sure), peak_balance=max(state.peak_balance, min(known, state.balance))
    )
    reached = {
        limit.reason: limit.until_ms
        for limit in limits(moved, rules)
        if limit.reason != "profit_cap" and limit.reached(equity) and limit.reached(state.equity)
    }
    return msgspec.structs.replace(
        moved, equity=equity, balance=known, seen_ms=at_ms, blocked={**reached, **moved.blocked}, told_ms=told_ms
    )


def joined(states: Sequence[AccountState]) -> AccountState:
    """Return the state that several copies of one account's, older and newer ones, speak of.

    The newest holds. What never falls (a peak, a limit that was reached for good or until a reset to come) is taken
    from whichever knows it: a copy that is behind loosens no limit.
    """
    newest = max(states, key=lambda state: state.seen_ms)
    blocked = {
        reason: until_ms
        for state in sorted(states, key=lambda state: state.seen_ms)
        for reason, until_ms in state.blocked.items()
        if until_ms in (FOR_EVER, newest.reset_ms)
    }
    return msgspec.structs.replace(
        newest,
        peak_equity=max(state.peak_equity for state in states),
        peak_balance=max(state.peak_balance for state in states),
        peak_day_end=max(state.peak_day_end for state in states),
        blocked={**blocked, **newest.blocked},
    )


def limits(state: AccountState, rules: AccountRules) -> list[Limit]:
    """Return every limit of the rules, as it stands now."""
    start, found = state.start, []
    if rules.daily_loss is not None:
        share_of = start if rules.daily_loss_of == "start" else state.anchor
        found.append(Limit("daily_loss", state.anchor - rules.daily_loss * share_of, state.reset_ms))
    if rules.total_loss is not None:
        found.append(Limit("total_loss", start - rules.total_loss * start, FOR_EVER))
    if rules.trailing_loss is not None:
        level = _peak(state, rules) - rules.trailing_loss * start
        level = min(level, start) if rules.trailing_stops_at_start else level
        found.append(Limit("trailing_loss", level, FOR_EVER))
    if rules.profit_cap is not None:
        found.append(Limit("profit_cap", start + rules.profit_cap * start, FOR_EVER, is_cap=True))
    if rules.daily_profit_cap is not None:
        level = state.anchor + rules.daily_profit_cap * start
        found.append(Limit("daily_profit_cap", level, state.reset_ms, is_cap=True))
    return found


def next_reset_ms(rules: AccountRules, at_ms: int) -> int:
    """Return when the firm's next day begins."""
    zone = ZoneInfo(rules.zone)
    local = datetime.fromtimestamp(at_ms / 1000, zone)
    found = [_reset_on(local.date() + timedelta(days=days), rules.reset, zone) for days in (0, 1)]
    # Not by the time of day: in the hour that comes twice in autumn it may be before a reset that is over.
    return next(reset_ms for reset_ms in (*found, found[-1] + DAY_MS) if reset_ms > at_ms)


def _reset_on(day: date, reset: time, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, reset, zone).timestamp() * 1000)


def _next_day(
    state: AccountState, rules: AccountRules, equity: float, balance: float, at_ms: int, sure: bool
) -> AccountState:
    """Begin a day. What was seen within a day before the reset counts where it is more: the firm saw it too.

    sure: the balance is known. It is from before the positions that seem open, else, and these may have closed since.
    """
    recent = state.seen_ms > state.reset_ms - DAY_MS
    equity_then = max(equity, state.equity) if recent else equity
    balance_then = max(balance, state.balance) if recent else balance
    higher = max(balance_then, equity_then)
    anchors = {"balance": balance_then if sure else higher, "equity": equity_then, "higher": higher}
    return msgspec.structs.replace(
        state,
        reset_ms=next_reset_ms(rules, at_ms),
        anchor=anchors[rules.daily_anchor],
        peak_day_end=max(state.peak_day_end, _day_end_balance(state, balance if recent else state.balance)),
        blocked={reason: until for reason, until in state.blocked.items() if reason not in UNTIL_RESET},
    )


def _day_end_balance(state: AccountState, balance: float) -> float:
    """Return the balance at a day's end, of which the last observation before and the first one after tell.

    As with other peaks two must agree, for one wrong number would raise a floor for good: no more than two of the day,
    or these two, had in common.
    """
    return min(max(state.balance, balance), max(state.peak_balance, min(state.balance, balance)))


def _peak(state: AccountState, rules: AccountRules) -> float:
    peaks = {
        "equity": state.peak_equity, "balance": state.peak_balance, "day_end_balance": state.peak_day_end,
    }  # fmt: skip
    return peaks[rules.trailing_of]
