"""Whatever the plan, the history, the kills and the repairs: values after closed bars are the same, bit for bit.

Work that was put off for want of time leads to the same values too, and nothing in between shows a wrong one.
"""

import random
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import keys
from common.errors import Fatal
from common.features import FeatureSet, decode_features
from common.indicators import Plan, catalogue, parse_plan
from common.indicators.function import Function
from common.messages import Bars, HistoryBars, Message, Quotes, Timeframe, encode
from common.metrics import Metrics
from common.settings import Settings
from common.stage import Batch, Entry, Outcome
from common.symbols import load_symbols
from features.stage import FeaturesHandler
from tests.features.made_lanes import MINUTE, NO_SHRINKING
from tests.features.market import LENGTHS
from tests.features.support import LONG_S, MONDAY_MS, NO_STRATEGIES, Entries, Store, bar, clock, quote
from tests.support_examples import examples

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


# -- running them --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the plan's file lies."""
    return tmp_path_factory.mktemp("plans")


def new_stage(case: Case, folder: Path, store: Store, pass_s: float = LONG_S) -> FeaturesHandler:
    """A handler that has just started."""
    path = folder / "plan.toml"
    path.write_text(case.plan)
    made = Settings(
        _env_file=None, symbols=SYMBOLS, timeframes=TIMEFRAMES, indicators_file=path, limits="none",
        max_bars_cache=case.max_bars, anchor_bars=case.anchor_bars, collection_interval=60.0,
        strategies_file=NO_STRATEGIES,
    )  # type: ignore[call-arg]  # pydantic-settings' own argument  # fmt: skip
    found = FeaturesHandler(0, made, load_symbols(SYMBOLS), Metrics("features"), pass_s=pass_s)
    store.commit(found.restore(store))  # type: ignore[arg-type]  # the store stands in for a link
    return found


def shown(store: Store) -> dict[tuple[str, str], FeatureSet]:
    """What is served of each lane."""
    found: dict[tuple[str, str], FeatureSet] = {}
    for symbol in SYMBOLS:
        for timeframe in TIMEFRAMES:
            body = store.keys.get(keys.feature_values(0, symbol, timeframe))
            if body:
                found[symbol, timeframe] = decode_features(body)
    return found


def closed(found: FeatureSet) -> tuple[object, ...]:
    """What is said of the closed bars, the numbers as their shortest exact text."""
    return found.bar_open_ms, found.bars_seen, found.ready, repr(found.values), found.not_ready, found.volume_kind


def all_closed(store: Store) -> dict[tuple[str, str], tuple[object, ...]]:
    return {lane: closed(found) for lane, found in shown(store).items()}


def state(store: Store) -> dict[str, object]:
    """All that is kept beside what is served: bars, requests, what is remembered of signals."""
    return {name: kept for name, kept in store.keys.items() if "features:" not in name}


def told(*outcomes: Outcome) -> dict[str, list[bytes]]:
    """Return what passes published, by stream: in how many messages bars come is not promised."""
    found: dict[str, list[bytes]] = {}
    for one in (one for outcome in outcomes for one in outcome.publish):
        parts = [Bars((bar,)) for bar in one.message.bars] if isinstance(one.message, Bars) else [one.message]
        found.setdefault(one.stream.name, []).extend(map(encode, parts))
    return found


def take(stage: FeaturesHandler, store: Store, entry: Entry) -> list[Outcome]:
    """Have a stage take an entry, and close what is due by it, in as many passes as that takes."""
    left: Batch = (entry,)
    outcomes = []
    while left:
        outcomes.append(store.commit(stage.handle(left)))
        left = left[outcomes[-1].entries :]
    return outcomes


def drain(stage: FeaturesHandler, store: Store) -> int:
    """Give empty batches until all is done; return how many it took."""
    count = 0
    while stage.unfinished:
        outcome = store.commit(stage.handle(()))
        assert not outcome.publish
        count += 1
        assert count < 50
    return count


def check_kills(folder: Path, case: Case, kills: Collection[int]) -> None:
    """Let one stage live through the entries, kill another one before some of them, and compare after each."""
    steady, killed = Store(), Store()
    undisturbed, restarted = new_stage(case, folder, steady), new_stage(case, folder, killed)
    for place, entry in enumerate(case.entries):
        if place in kills:
            if place % 2:
                restarted.handle((entry,))  # it dies before the commit
            restarted = new_stage(case, folder, killed)
        assert told(killed.commit(restarted.handle((entry,)))) == told(steady.commit(undisturbed.handle((entry,))))
        drain(undisturbed, steady)
        drain(restarted, killed)
        assert all_closed(killed) == all_closed(steady), (place, case.plan)
    assert state(killed) == state(steady)


@examples(25, phases=NO_SHRINKING)
@given(CASES, st.data())
def test_a_stage_killed_anywhere_goes_on_bit_for_bit(folder: Path, case: Case, data: st.DataObject) -> None:
    check_kills(folder, case, data.draw(st.sets(st.integers(0, len(case.entries) - 1), max_size=8)))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_thousand_stages_killed_anywhere_go_on_bit_for_bit(folder: Path) -> None:
    for seed in range(1_000):
        case = drawn_case(seed)
        check_kills(folder, case, random.Random(seed).sample(range(len(case.entries)), 8))


@pytest.fixture(scope="module")
def _no_time() -> Iterator[None]:
    """A pass has no time at all for what can wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("features.stage.LEAST_S", 0.0)
        yield


def lanes_written(outcome: Outcome) -> int:
    return sum(len(command) // 2 for command in outcome.writes if command[0] == "MSET")


def is_being_recomputed(found: FeatureSet) -> bool:
    """It shows nothing, and says why."""
    said = set(found.not_ready.values())
    return not (found.values or found.ready or found.forming) and said == {"the history changed, being recomputed"}


@pytest.mark.usefixtures("_no_time")
@examples(15, phases=NO_SHRINKING)
@given(CASES, st.data())
def test_work_put_off_leads_to_the_same_and_shows_nothing_wrong_meanwhile(
    folder: Path, case: Case, data: st.DataObject
) -> None:
    kills = data.draw(st.sets(st.integers(0, len(case.entries) - 1), max_size=4))
    spare = random.Random(data.draw(st.integers(0, 1_000)))
    ample, scarce = Store(), Store()
    at_ease, pressed = new_stage(case, folder, ample), new_stage(case, folder, scarce, pass_s=0.0)
    for place, entry in enumerate(case.entries):
        if place in kills:
            pressed = new_stage(case, folder, scarce, pass_s=0.0)
        assert told(*take(pressed, scarce, entry)) == told(*take(at_ease, ample, entry))
        drain(at_ease, ample)
        for _ in range(spare.choice((0, 0, 1, 2, 5))):
            if pressed.unfinished:
                outcome = scarce.commit(pressed.handle(()))
                assert (outcome.publish, lanes_written(outcome)) == ([], 1)
        right = shown(ample)
        for lane, found in shown(scarce).items():
            assert is_being_recomputed(found) or closed(found)[:4] == closed(right[lane])[:4], lane

    assert drain(pressed, scarce) <= 2 * len(SYMBOLS) * len(TIMEFRAMES)
    assert all_closed(scarce) == all_closed(ample)
    assert state(scarce) == state(ample)
