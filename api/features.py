"""GET /api/features/{symbol}: the current indicator values of one lane, with how far they can be relied on."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.bars import read_features
from api.context import context_of
from api.errors import ApiError, invalid, json_response
from api.freshness import data_age_ms, engine_current, engine_lag_ms
from api.params import names_of, symbol_of, timeframe_of, truth
from api.times import iso
from common.features import FeatureSet, FormingSet
from common.indicators import nearest
from common.sessions import is_open


class FormingValues(Struct, frozen=True):
    """The bar that is being built, and the values as if it closed now: None for what is not ready."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    ticks: int
    values: dict[str, float | None]


class FeaturesReply(Struct, frozen=True):
    """The whole reply."""

    symbol: str
    broker: str
    timeframe: str
    current: bool
    """Within FEATURE_CACHE_TTL of the engine's last clock-confirmed pass. What is not current is still served."""
    engine_lag_ms: int | None
    """Real time since that pass."""
    data_age_ms: int | None
    """Stream time since the market last moved: apart from the engine's liveness."""
    delay_ms: int
    session_open: bool | None
    source: str
    source_class: str
    bar_open_ms: int | None
    market_ms: int | None
    clock_ms: int
    volume_kind: str
    bars_seen: int
    ready: bool
    values: dict[str, float | None]
    """None for what is not ready."""
    not_ready: dict[str, str]
    """Name -> why."""
    forming: FormingValues | None
    timestamp: str
    simulated: bool


async def get_features(request: Request) -> Response:
    """Answer with one lane's values."""
    context, query = context_of(request), request.query_params
    symbol = symbol_of(request.path_params["symbol"], context.table)
    timeframe = timeframe_of(query, context.settings.timeframes)
    wants_forming, names = truth(query, "forming"), names_of(query)
    found = await read_features(context, symbol, timeframe)
    if found is None:
        raise ApiError(404, "not_computed", f"no values of {symbol.name} {timeframe} were ever computed")
    chosen = _chosen(found, names, f"{symbol.name} {timeframe}")
    wall_ms = context.wall_ms()
    pipeline = await context.state.read()
    state = pipeline.symbols[symbol.name]
    now, engine = pipeline.now(wall_ms, state.partition), pipeline.partitions[state.partition].engine
    session = context.table.session_of(symbol.name, state.source_class)
    reply = FeaturesReply(
        symbol=symbol.name,
        broker=symbol.broker,
        timeframe=timeframe,
        current=engine_current(engine, now, context.settings.feature_cache_ttl),
        engine_lag_ms=engine_lag_ms(engine, now),
        data_age_ms=data_age_ms(state, now),
        delay_ms=found.delay_ms,
        session_open=None if now.stream_ms is None else is_open(session, now.stream_ms),
        source=found.source,
        source_class=found.source_class,
        bar_open_ms=found.bar_open_ms,
        market_ms=found.market_ms,
        clock_ms=found.clock_ms,
        volume_kind=found.volume_kind,
        bars_seen=found.bars_seen,
        ready=found.ready,
        values=_values(found.values, found.not_ready, chosen),
        not_ready={name: found.not_ready[name] for name in chosen if name in found.not_ready},
        forming=_forming(found.forming, found.not_ready, chosen) if wants_forming else None,
        timestamp=iso(wall_ms),
        simulated=context.settings.simulated,
    )
    return json_response(reply)


def _chosen(found: FeatureSet, names: Sequence[str] | None, lane: str) -> Sequence[str]:
    """Return the names to show: all if none are given. ApiError 422 names those that are not known."""
    known = found.values | found.not_ready
    if names is None:
        return tuple(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        message = f"{lane} has no value {unknown[0]!r}{nearest(unknown[0], known)}"
        raise invalid(message, "some of " + ", ".join(sorted(known)), ", ".join(unknown))
    return names


def _values(
    values: Mapping[str, float | None], not_ready: Mapping[str, str], names: Iterable[str]
) -> dict[str, float | None]:
    """Return a value for each name. What has not converged is None: its number is not to be relied on."""
    return {name: None if name in not_ready else values.get(name) for name in names}


def _forming(forming: FormingSet | None, not_ready: Mapping[str, str], names: Iterable[str]) -> FormingValues | None:
    if forming is None:
        return None
    return FormingValues(
        forming.open_ms, forming.open, forming.high, forming.low, forming.close, forming.volume, forming.ticks,
        _values(forming.values, not_ready, names),
    )  # fmt: skip
