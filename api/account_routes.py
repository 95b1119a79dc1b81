"""GET /api/account: the account's rules, what it has done so far, and how far each limit is."""

from starlette.requests import Request
from starlette.responses import Response

from api.account import AccountBook
from api.context import context_of
from api.errors import json_response
from api.times import iso
from common.account.rules import AccountRules
from common.account.state import FOR_EVER, AccountState, limits


async def get_account(request: Request) -> Response:
    """Answer with rules, state and limits; null where there are no rules, or nothing was observed yet."""
    context = context_of(request)
    account, settings = context.account, context.settings
    head = {"timestamp": iso(context.wall_ms()), "simulated": settings.simulated}
    return json_response(
        {
            **head,
            "account": settings.account_id,
            "currency": settings.account_currency,
            "rules": None if account.rules is None else account.rules.model_dump(mode="json"),
            "state": None if account.state is None else _state(account.state),
            "limits": _limits(account),
        }
    )


def _state(state: AccountState) -> dict[str, object]:
    return {
        "start": state.start,
        "equity": state.equity,
        "balance": state.balance,
        "seen": iso(state.seen_ms),
        "anchor": state.anchor,
        "reset": iso(state.reset_ms),
        "peak_equity": state.peak_equity,
        "peak_balance": state.peak_balance,
        "peak_day_end": state.peak_day_end,
    }


def _limits(account: AccountBook) -> list[dict[str, object]]:
    if account.rules is None or account.state is None:
        return []
    return _each(account.state, account.rules)


def _each(state: AccountState, rules: AccountRules) -> list[dict[str, object]]:
    return [
        {
            "reason": limit.reason,
            "level": limit.level,
            "room": (limit.level - state.equity) * (1 if limit.is_cap else -1),
            "reached": limit.reason in state.blocked or limit.reached(state.equity),
            "until": None if limit.until_ms == FOR_EVER else iso(limit.until_ms),
        }
        for limit in limits(state, rules)
    ]
