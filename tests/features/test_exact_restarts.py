"""Whatever the plan, the history, the kills and the repairs: values after closed bars are the same, bit for bit.

Work that was put off for want of time leads to the same values too, and nothing in between shows a wrong one.
"""

import random
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import keys
from common.features import FeatureSet, decode_features
from common.messages import Bars, encode
from common.metrics import Metrics
from common.settings import Settings
from common.stage import Batch, Entry, Outcome
from common.symbols import load_symbols
from features.stage import FeaturesHandler
from tests.features.made_lanes import NO_SHRINKING
from tests.features.restart_cases import CASES, SYMBOLS, TIMEFRAMES, Case, drawn_case
from tests.features.support import LONG_S, NO_STRATEGIES, Store
from tests.support_examples import examples

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
