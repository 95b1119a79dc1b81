"""GET /api/v1/signals: the advice of /api/signals, for clients that parse JSON. Live clients get this shape, too."""

import math

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.errors import json_response
from api.signal_advice import Advice, Withheld
from api.signals import LARGEST_LIMIT, caller_of, served
from api.times import iso


class Risk(Struct, frozen=True):
    """What these lots may lose, in `currency`, before costs."""

    amount: float
    """At the stop."""
    expected_shortfall_95: float
    """The estimated mean loss in the worst 5 % of such trades."""
    currency: str
    """The account's."""


class DataQuality(Struct, frozen=True):
    """What the advice rests on. None: not known."""

    age_ms: int
    """Stream time since the market last moved."""
    score: float | None
    """Mean quality of the quotes in the signal's bar, in [0, 1]."""
    spread: float | None
    source: str
    source_class: str


class SignalView(Struct, frozen=True):
    """One signal, sized. Prices are rounded to the symbol's digits; times are UTC; ages are in the stream's time."""

    id: str
    symbol: str
    broker_symbol: str
    side: str
    """buy or sell."""
    entry: float
    stop_loss: float
    targets: tuple[float, ...]
    """The nearest first."""
    lots: float
    """A multiple of the broker's step: its decimal text is exact."""
    risk: Risk
    confidence: float
    """In [0, 1]."""
    quality: float
    """In [0, 10]."""
    strategy: str
    regime: str
    timeframe: str
    bar_opened_at: str
    published_at: str
    expires_at: str
    age_ms: int
    """Since it was published."""
    expires_in_ms: int
    atr: float | None
    indicators: dict[str, float | None]
    reasons: tuple[str, ...]
    data: DataQuality


class WithheldView(Struct, frozen=True):
    """A symbol without advice, and why. `code` is a fixed slug."""

    symbol: str
    broker_symbol: str
    code: str
    detail: str


class SignalsReply(Struct, frozen=True):
    """The whole reply."""

    signals: list[SignalView]
    withheld: list[WithheldView]
    count: int
    """Of signals."""
    equity: float
    """What the lots are for, in `currency`."""
    currency: str
    timestamp: str
    simulated: bool


async def get_signals(request: Request) -> Response:
    """Answer with all signals unless `limit` says less, the best first."""
    context = context_of(request)
    caller = caller_of(request, LARGEST_LIMIT)
    found = await served(context, caller)
    currency = context.settings.account_currency
    reply = SignalsReply(
        signals=[signal_view(advice, currency) for advice in found.shown],
        withheld=[_withheld(item) for item in found.withheld],
        count=len(found.shown),
        equity=caller.equity,
        currency=currency,
        timestamp=iso(found.wall_ms),
        simulated=context.settings.simulated,
    )
    return json_response(reply)


def signal_view(advice: Advice, currency: str) -> SignalView:
    """Return one signal as it is shown. currency: the account's."""
    signal, symbol, size, digits = advice.signal, advice.symbol, advice.size, advice.symbol.digits
    return SignalView(
        id=signal.id,
        symbol=signal.symbol,
        broker_symbol=symbol.broker,
        side=signal.action.lower(),
        entry=round(signal.entry, digits),
        stop_loss=round(signal.stop_loss, digits),
        targets=(round(signal.take_profit_1, digits), round(signal.take_profit_2, digits)),
        lots=float(size.lots),
        risk=Risk(round(size.at_stop, 2), round(size.es95, 2), currency),
        confidence=_share(signal.confidence),
        quality=round(signal.quality, 2),
        strategy=signal.strategy,
        regime=signal.regime,
        timeframe=signal.timeframe,
        bar_opened_at=iso(signal.bar_open_ms),
        published_at=iso(signal.published_ms),
        expires_at=iso(signal.expires_ms),
        age_ms=signal.expires_ms - signal.published_ms - advice.expires_in_ms,
        expires_in_ms=advice.expires_in_ms,
        atr=signal.atr,
        indicators=dict(signal.values),
        reasons=signal.reasons,
        data=DataQuality(
            advice.data_age_ms, signal.data_score, signal.spread, signal.source, signal.source_class
        ),
    )  # fmt: skip


def _withheld(item: Withheld) -> WithheldView:
    return WithheldView(item.symbol.name, item.symbol.broker, item.reason, item.detail)


def _share(value: float) -> float:
    # Down, never up, as in /api/signals: what a client refuses below a threshold must not look like it.
    return math.floor(min(1.0, max(0.0, value)) * 10_000) / 10_000
