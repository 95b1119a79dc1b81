"""GET /api/indicators/{symbol}: an indicator's history over one lane's closed bars, as charts take it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from api.context import context_of
from api.errors import ApiError, invalid, json_response
from api.lane_bars import StoredLane, read_lane
from api.params import names_of, symbol_of, timeframe_of, whole
from api.times import iso
from common.features import FeatureSet
from common.indicators import F64, Indicator, Program, nearest
from common.indicators.history import history
from common.indicators.talib_functions import call_text
from common.symbols import Symbol, SymbolTable

DEFAULT_LIMIT = 500
MOST_POINTS = 50_000  # of several indicators at once: 2 MB of JSON, and a tenth of a second's work


class Point(Struct, frozen=True):
    """The value after one bar. `time`: when the bar opened, in UTC epoch seconds; without a value a chart has a gap."""

    time: int
    value: float | UnsetType = UNSET


class IndicatorHistory(Struct, frozen=True):
    """One indicator, with the lines that were asked for."""

    name: str
    function: str
    call: str
    """What gives the same over the window's bars (of a session, where `memory` is one): of TA-Lib's Python package, or
    a function of our own, as `source` describes it."""
    source: str
    inputs: tuple[str, ...]
    params: Mapping[str, float]
    memory: str
    lookback: int
    """Bars before the first one that has a value."""
    settle_bars: int
    """Bars from the beginning on after which a value can be relied on."""
    ready: bool | None
    """Whether /api/features relies on the last values; None where the engine does not say."""
    not_ready: dict[str, str]
    """Output -> why not."""
    lines: dict[str, msgspec.Raw]
    """Output -> its points, oldest first."""


class IndicatorsReply(Struct, frozen=True):
    """The whole reply."""

    symbol: str
    broker: str
    timeframe: str
    source_class: str
    bars_seen: int
    """Closed bars in the window that the values rest on."""
    indicators: list[IndicatorHistory]
    timestamp: str
    simulated: bool


@dataclass(frozen=True)
class Chosen:
    """An indicator, and which of its outputs to show."""

    indicator: Indicator
    lines: tuple[str, ...]


async def get_indicators(request: Request) -> Response:
    """Answer with what the indicators were after each of the newest closed bars."""
    context, query = context_of(request), request.query_params
    symbol = symbol_of(request.path_params["symbol"], context.table)
    timeframe = timeframe_of(query, context.settings.timeframes)
    limit = whole(query, "limit", DEFAULT_LIMIT, context.settings.max_bars_cache)
    program = context.plan.program(symbol.name, timeframe)
    chosen = choose(names_of(query, "name") or (), program, f"{symbol.name} {timeframe}")
    _check_size(chosen, limit)
    lane = await read_lane(context, symbol, timeframe, _others(chosen, context.table))
    if lane is None:
        raise ApiError(404, "no_bars", f"the bar cache has no bars of {symbol.name} {timeframe}")
    async with context.computing:
        indicators = await asyncio.to_thread(_work_out, lane, program, chosen, limit)
    reply = IndicatorsReply(
        symbol=symbol.name,
        broker=symbol.broker,
        timeframe=timeframe,
        source_class=lane.source_class,
        bars_seen=len(lane.bars.bars),
        indicators=indicators,
        timestamp=iso(context.wall_ms()),
        simulated=context.settings.simulated,
    )
    return json_response(reply)


def choose(names: Sequence[str], program: Program, lane: str) -> list[Chosen]:
    """Return the indicators that these names mean, each once.

    A name is an indicator's, for all of its outputs, or one output's. ApiError 422: none is given, or one is unknown.
    """
    by_name = {one.name: one for one in (*program.indicators, *program.pairs)}
    by_output = {output: one for one in by_name.values() for output in one.names}
    known = list(dict.fromkeys((*by_name, *by_output)))
    expected = "some of " + ", ".join(known)
    if not names:
        raise invalid("name is missing: an indicator's, an output's, or several, comma separated", expected, "")
    outputs: dict[str, set[str]] = {}
    for name in names:
        one = by_name.get(name) or by_output.get(name)
        if one is None:
            raise invalid(f"{lane} has no indicator {name!r}{nearest(name, known)}", expected, name)
        outputs.setdefault(one.name, set()).update(one.names if name in by_name else (name,))
    return [
        Chosen(by_name[name], tuple(line for line in by_name[name].names if line in lines))
        for name, lines in outputs.items()
    ]


def _check_size(chosen: Sequence[Chosen], limit: int) -> None:
    lines = sum(len(one.lines) for one in chosen)
    if len(chosen) > 1 and lines * limit > MOST_POINTS:
        expected = f"at most {MOST_POINTS} points: fewer names, or a limit up to {MOST_POINTS // lines}"
        raise invalid("too much for one reply", expected, f"{lines} lines with a limit of {limit}")


def _others(chosen: Sequence[Chosen], table: SymbolTable) -> list[Symbol]:
    """Return the other symbols that the indicators look at."""
    names = dict.fromkeys(one.indicator.other for one in chosen)
    return [table.symbols[name] for name in names if name is not None and name in table.symbols]


def _work_out(lane: StoredLane, program: Program, chosen: Sequence[Chosen], limit: int) -> list[IndicatorHistory]:
    """Return the histories: some milliseconds' work for each."""
    found = history(lane.bars, program, [one.indicator for one in chosen], lane.others)
    times = (lane.bars.bars["open_ms"][-limit:] // 1000).tolist()
    return [
        _described(one, {name: _line(times, found[name][-limit:]) for name in one.lines}, lane.features)
        for one in chosen
    ]


def _line(times: Sequence[int], values: F64) -> msgspec.Raw:
    """Return the points as JSON: line by line, since writing all of them at once would hold up other requests."""
    pairs = zip(times, values.tolist(), strict=True)
    return msgspec.Raw(msgspec.json.encode([Point(at, value) if isfinite(value) else Point(at) for at, value in pairs]))


def _described(one: Chosen, lines: dict[str, msgspec.Raw], features: FeatureSet | None) -> IndicatorHistory:
    indicator, function = one.indicator, one.indicator.function
    not_ready = {} if features is None else {n: features.not_ready[n] for n in lines if n in features.not_ready}
    told = features is not None and all(name in features.values or name in not_ready for name in lines)
    call = call_text(function, indicator.inputs, indicator.params)
    return IndicatorHistory(
        name=indicator.name,
        function=function.name,
        call=call if function.source == "TA-Lib" else call.removeprefix("talib."),
        source=function.source,
        inputs=indicator.inputs,
        params=indicator.params,
        memory=indicator.memory,
        lookback=indicator.lookback,
        settle_bars=indicator.settle_bars,
        ready=not not_ready if told else None,
        not_ready=not_ready,
        lines=lines,
    )
