"""GET /api/features/{symbol}: the current indicator values of one lane, with how far they can be relied on."""

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from api.bars import read_features
from api.context import context_of
from api.errors import ApiError, invalid, json_response
from api.judgement import data_age_ms, engine_current, engine_lag_ms
from api.params import names_of, symbol_of, timeframe_of, truth
from api.times import iso
from common.features import FeatureSet, FormingSet
from common.sessions import is_open


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
    values: dict[str, float]
    not_ready: dict[str, str]
    forming: FormingSet | None
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
    wall_ms = context.wall_ms()
    pipeline = await context.state.read()
    state = pipeline.symbols[symbol.name]
    now, engine = pipeline.now(wall_ms, state.partition), pipeline.partitions[state.partition].engine
    session = context.table.session_of(symbol.name)
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
        values=_chosen(found, names),
        not_ready={name: why for name, why in found.not_ready.items() if names is None or name in names},
        forming=found.forming if wants_forming else None,
        timestamp=iso(wall_ms),
        simulated=context.settings.simulated,
    )
    return json_response(reply)


def _chosen(found: FeatureSet, names: tuple[str, ...] | None) -> dict[str, float]:
    if names is None:
        return found.values
    known = found.values.keys() | found.not_ready.keys()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise invalid("names holds an unknown name", "some of " + ", ".join(sorted(known)), ", ".join(unknown))
    return {name: found.values[name] for name in names if name in found.values}
