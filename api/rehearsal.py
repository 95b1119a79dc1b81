"""Requests that nobody made: what a first reply would have to find out, load and warm up is done by then."""

from dataclasses import replace
from types import SimpleNamespace

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Message, Scope

from api.context import STAGE, Context, Sightings
from api.guard import Guard
from api.ledger import Ledger
from common.messages import Signal
from common.metrics import Metrics

PATH = "/api/signals"
QUERY = b"limit=100"
TIMES = 10  # Python adapts its code to what it works with after some rounds


async def rehearse(router: ASGIApp, context: Context) -> None:
    """Ask for the signals as nobody: it counts nowhere, nothing is taken for served. Retryable without Redis."""
    aside = await _aside(context)
    app = Guard(ExceptionMiddleware(router), aside, frozenset({PATH}))
    for _ in range(TIMES):
        await app(_scope(aside), _nothing, _to_nobody)


async def _aside(context: Context) -> Context:
    """Return the same parts, but for those that remember: at the collector's last moment, for the last equity."""
    now, account = await context.state.now(context.wall_ms()), context.account.state
    played_ms = now.wall_ms if now.clock is None else now.clock.wall_ms
    equity = context.settings.default_equity if account is None else account.equity
    return replace(
        context, metrics=Metrics(STAGE), sightings=Sightings(), ledger=_Bystander(context.ledger),
        wall_ms=lambda: played_ms, settings=context.settings.model_copy(update={"default_equity": equity}),
    )  # fmt: skip


class _Bystander(Ledger):
    """Knows what another ledger knows when it is asked, and remembers nothing."""

    def __init__(self, other: Ledger) -> None:
        self.positions, self.broker = other.positions, other.broker

    def remember_served(self, signal: Signal) -> None:
        """Let it pass: nobody saw it."""


def _scope(context: Context) -> Scope:
    token = context.settings.api_token.get_secret_value().encode()
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": PATH, "raw_path": PATH.encode(), "root_path": "", "query_string": QUERY,
        "headers": [(b"host", b"nobody"), (b"authorization", b"Bearer " + token)], "state": {}, "extensions": {},
        "app": SimpleNamespace(state=SimpleNamespace(context=context)),
    }  # fmt: skip


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _to_nobody(_message: Message) -> None:
    pass
