"""Cases of restarts, drawn from a seed: a plan of the catalogue's functions, and entries over which it runs."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from common.errors import Fatal
from common.indicators import Plan, catalogue, parse_plan
from common.indicators.function import Function
from common.messages import HistoryBars, Message, Quotes, Timeframe
from common.stage import Entry
from tests.features.made_lanes import MINUTE
from tests.features.market import LENGTHS
from tests.features.support import MONDAY_MS, Entries, bar, clock, quote

SYMBOLS = ("EURUSD", "GBPUSD")
TIMEFRAMES: tuple[Timeframe, ...] = ("1m", "5m")
MOST_BARS = 400
"""What a drawn plan may need: the histories here are not longer than a few hundred bars."""
AVERAGES = ("SMA", "EMA", "WMA", "DEMA", "TEMA", "TRIMA", "KAMA", "T3", "HMA", "ZLEMA", "RMA")
START_MS = MONDAY_MS + 15 * 3_600_000


class Case(NamedTuple):
    """A plan's file and what it runs over."""

    plan: str
    max_bars: int
    anchor_bars: int
    entries: tuple[Entry, ...]


# -- plans, drawn from the catalogue -------------------------------------------------------------------


def drawn_plan(rng: random.Random) -> str:
    """A few functions with drawn parameters, some of which rest on those above them."""
    lines = ["[indicators]"]
    outputs: list[str] = []
    for number in range(rng.randint(2, 7)):
        name = rng.choice(list(catalogue()))
        line = _definition(f"i{number}", catalogue()[name], outputs, rng)
        plan = _parsed([*lines, line])
        if plan is None or plan.needed_bars > MOST_BARS:
            continue  # drawn parameters may be out of a function's range, or need more bars than there are here
        lines.append(line)
        outputs += plan.indicators[-1].names
    return "\n".join(lines) if len(lines) > 1 else drawn_plan(rng)


def _parsed(lines: Sequence[str]) -> Plan | None:
    try:
        return parse_plan("\n".join(lines), "drawn")
    except Fatal:
        return None


def _definition(name: str, function: Function, outputs: Sequence[str], rng: random.Random) -> str:
    given = [f'function = "{function.name}"']
    for key, default in function.params.items():
        if key.endswith("matype"):
            given.append(f'{key} = "{rng.choice(AVERAGES)}"')
        elif rng.random() < 0.7:
            whole = isinstance(default, int)
            value = rng.choice((rng.randint(1, 12), 64)) if whole else default * rng.choice((0.5, 1.0, 2.0))
            given.append(f"{key} = {value}")
    free = sum(one.free for one in function.inputs)
    if free and (function.name == "MAVP" or rng.random() < 0.6):
        refs = [rng.choice(("open", "high", "low", "close", "volume", *outputs, *outputs)) for _ in range(free)]
        given.append(f"inputs = {refs}".replace("'", '"'))
    return f"{name} = {{ {', '.join(given)} }}"


# -- histories -----------------------------------------------------------------------------------------


def drawn_messages(rng: random.Random) -> Iterator[Message]:
    """History, then quotes and clock entries, with silent minutes, breaks and repairs."""
    prices = dict(zip(SYMBOLS, (1.14, 1.36), strict=True))
    yield clock(START_MS)
    for symbol in SYMBOLS:
        for timeframe in TIMEFRAMES:
            count = rng.choice((0, 30, 200))
            opens = [START_MS - n * LENGTHS[timeframe] for n in range(count, 0, -1) if rng.random() < 0.95]
            yield _history(symbol, timeframe, opens, prices[symbol], rng, "asked")
    now_ms = START_MS
    for _ in range(rng.randint(20, 60)):
        for symbol in SYMBOLS:
            if rng.random() < 0.85:
                yield from _quotes(symbol, now_ms, prices, rng)
        now_ms += MINUTE * rng.choice((1, 1, 1, 1, 1, 1, 1, 7, 45))
        if rng.random() < 0.9:
            yield clock(now_ms + rng.choice((0, 2_000, 20_000)))
        if rng.random() < 0.12:
            symbol, timeframe = rng.choice(SYMBOLS), rng.choice(TIMEFRAMES)
            length_ms = LENGTHS[timeframe]
            opens = sorted({now_ms // length_ms * length_ms - rng.randint(1, 90) * length_ms for _ in range(3)})
            yield _history(symbol, timeframe, opens, prices[symbol], rng, "gap3|x")
    yield clock(now_ms + 3_600_000)


def _quotes(symbol: str, open_ms: int, prices: dict[str, float], rng: random.Random) -> Iterator[Quotes]:
    for second in sorted(rng.sample(range(60), 2)):
        prices[symbol] *= 1.0 + rng.gauss(0.0, 3e-4)
        volume = float(rng.randrange(40))
        made = quote(symbol, open_ms + second * 1_000, round(prices[symbol], 5), volume=volume, kind="traded")
        yield Quotes((made,))


def _history(
    symbol: str, timeframe: Timeframe, opens: Sequence[int], price: float, rng: random.Random, request_id: str
) -> HistoryBars:
    bars = []
    for open_ms in opens:
        close = price * (1.0 + rng.gauss(0.0, 1e-3))
        prices = {"open": price, "high": max(price, close) * 1.000_2, "low": min(price, close) * 0.999_9}
        kind = {"volume": float(rng.randrange(40)), "volume_kind": rng.choice(("traded", "traded", "traded", "none"))}
        bars.append(bar(open_ms, close, symbol=symbol, timeframe=timeframe, **prices, **kind))
    instead = request_id.startswith("gap") and rng.random() < 0.5
    return HistoryBars(request_id, symbol, timeframe, "fx_spot", tuple(bars), instead=instead)


def drawn_case(seed: int) -> Case:
    rng = random.Random(seed)
    plan = drawn_plan(rng)
    needed = parse_plan(plan, "drawn").needed_bars
    messages = list(drawn_messages(rng))
    entries = Entries().of(*messages)  # type: ignore[arg-type]  # messages of the stream
    return Case(plan, needed + rng.randint(1, 40), rng.randint(2, 60), entries)


CASES = st.builds(drawn_case, st.integers(0, 10_000_000))
