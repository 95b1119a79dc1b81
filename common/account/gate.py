"""Whether an account's rules allow an order now, and how much it may lose: pure."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from common.account.rules import AccountRules, Windows
from common.account.state import FOR_EVER, AccountState, Limit, limits
from common.errors import Rejected

FRIDAY = 4


def allowed_risk(state: AccountState, rules: AccountRules, equity: float, open_risk: float) -> float:
    """Return what one more trade may lose, in account currency; infinite where no loss is limited.

    open_risk: what the open positions lose at their stops. Rejected, with the limit's name, where one was reached or
    nothing is left before it.
    """
    known = limits(state, rules)
    for limit in known:
        if limit.reason in state.blocked:
            raise _reached(limit.reason, limit.level, state.blocked[limit.reason], equity)
        if limit.reached(equity):
            raise _reached(limit.reason, limit.level, limit.until_ms, equity)
    nearest = max((limit for limit in known if not limit.is_cap), key=lambda limit: limit.level, default=None)
    if nearest is None:
        return float("inf")
    room = (equity - nearest.level - open_risk) * rules.room_share
    if room <= 0:
        raise _taken(nearest, equity, open_risk)
    return room


def allow_time(rules: AccountRules, at_ms: int) -> None:
    """Rejected("weekend", "flat_time" or "account_session"), with the end, if no order may be placed at this time."""
    local = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(rules.zone))
    at = local.time()
    if rules.weekend_from is not None and (
        local.weekday() > FRIDAY or (local.weekday() == FRIDAY and at >= rules.weekend_from)
    ):
        monday = local.date() + timedelta(days=7 - local.weekday())
        raise Rejected(
            "weekend", f"flat over the weekend until {_utc(datetime.combine(monday, time(0), local.tzinfo))}"
        )
    for begin, end in rules.flat_times:
        if _within(at, begin, end):
            raise Rejected("flat_time", f"flat from {begin:%H:%M} until {end:%H:%M}, {rules.zone}")
    if rules.sessions and not any(_within(at, begin, end) for begin, end in rules.sessions):
        raise Rejected("account_session", f"orders only in {_shown(rules.sessions)}, {rules.zone}")


def allow_another(rules: AccountRules, open_positions: int) -> None:
    """Rejected("max_positions") if as many positions are open as there may be."""
    if rules.max_positions is not None and open_positions >= rules.max_positions:
        raise Rejected("max_positions", f"{open_positions} positions are open, at most {rules.max_positions} may be")


def _within(at: time, begin: time, end: time) -> bool:
    return begin <= at < end if begin <= end else at >= begin or at < end


def _shown(windows: Windows) -> str:
    return ", ".join(f"{begin:%H:%M}-{end:%H:%M}" for begin, end in windows)


def _reached(reason: str, level: float, until_ms: int, equity: float) -> Rejected:
    until = "for this account" if until_ms == FOR_EVER else f"until {_utc_ms(until_ms)}"
    return Rejected(reason, f"the limit of {level:.2f} was reached, equity is {equity:.2f}: nothing is advised {until}")


def _taken(limit: Limit, equity: float, open_risk: float) -> Rejected:
    until = "a position closes" if limit.until_ms == FOR_EVER else f"a position closes, or {_utc_ms(limit.until_ms)}"
    left = f"{equity - limit.level:.2f} to the limit of {limit.level:.2f}"
    return Rejected(limit.reason, f"{left}, open positions may lose {open_risk:.2f}: nothing is advised until {until}")


def _utc_ms(at_ms: int) -> str:
    return _utc(datetime.fromtimestamp(at_ms / 1000, UTC))


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
