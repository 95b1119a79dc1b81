"""Indicators over two symbols: TA-Lib's batch over their bars joined by time, whichever closes first."""

import copy
import math
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import keys
from common.bars import unpack
from common.errors import Fatal
from common.indicators.plan_file import BUILTIN as DEFAULT_PLAN
from common.messages import HistoryBars, Message, Quotes, SeriesChange, Signal
from common.metrics import Metrics
from common.settings import Settings
from common.stage import Outcome
from features.stage import FeaturesHandler, make_spec
from tests.features.joined import MINUTE, PAIR, PLAN, joined_values, new_stage, shown, symbols_file
from tests.features.made_lanes import NO_SHRINKING
from tests.features.market import cycles, warm_up
from tests.features.support import MONDAY_MS, Entries, Store, bar, clock, quote
from tests.features.talib_values import bits
from tests.support_examples import examples


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the plan's and the symbol tables' files lie."""
    found = tmp_path_factory.mktemp("pairs")
    (found / "plan.toml").write_text(PLAN)
    return found


def check(store: Store, max_bars: int, anchor_bars: int) -> bool:
    """Compare what is shown with TA-Lib's; tell whether anything is: what is being recomputed says so."""
    found = shown(store)
    if not found.values:
        assert set(found.not_ready.values()) == {"the history changed, being recomputed"}
        return False
    for name, value in joined_values(store, max_bars, anchor_bars).items():
        ours = found.values[name]
        if not math.isfinite(value):
            assert ours is None, name
            assert name in found.not_ready
        else:
            assert ours is not None, name
            assert bits(np.array([ours])) == bits(np.array([value])), name
    return True


def market(seed: int, minutes: int, quiet: tuple[float, float]) -> list[Message]:
    """Minutes of quotes of both, some without; clock entries, some of which close several bars; and repairs.

    quiet: how many minutes each of them is silent.
    """
    rng = random.Random(seed)
    prices = dict(zip(PAIR, (1.14, 1.36), strict=True))
    found: list[Message] = [clock(MONDAY_MS)]
    for minute in range(minutes):
        open_ms = MONDAY_MS + minute * MINUTE
        for name, silence in zip(PAIR, quiet, strict=True):
            if rng.random() >= silence:
                for second in sorted(rng.sample(range(60), 3)):
                    prices[name] *= 1.0 + rng.gauss(0.0, 1e-4)
                    found.append(Quotes((quote(name, open_ms + second * 1000, prices[name]),)))
        if rng.random() < 0.8:
            found.append(clock(open_ms + MINUTE + rng.choice((0, 2_000, 30_000))))
        if rng.random() < 0.1:
            found.append(repair(rng, open_ms, prices))
    return [*found, clock(MONDAY_MS + (minutes + 30) * MINUTE)]


def repair(rng: random.Random, now_ms: int, prices: dict[str, float]) -> HistoryBars:
    name = rng.choice(PAIR)
    opens = sorted({now_ms - rng.randrange(1, 70) * MINUTE for _ in range(rng.randrange(1, 4))})
    bars = tuple(bar(at, prices[name] * (1.0 + rng.gauss(0.0, 1e-4)), symbol=name) for at in opens)
    return HistoryBars("gap7|x", name, "1m", "fx_spot", bars, instead=rng.random() < 0.5)


MARKETS = st.builds(
    market,
    st.integers(0, 100_000),
    st.integers(5, 150),
    st.tuples(st.sampled_from([0.0, 0.3, 0.8]), st.sampled_from([0.0, 0.3, 0.8])),
)
DELAYS_S = st.tuples(st.sampled_from([0, 90, 600]), st.sampled_from([0, 90, 600]))


@examples(20, phases=NO_SHRINKING)
@given(MARKETS, DELAYS_S, st.integers(45, 70), st.integers(3, 40), st.data())
def test_values_are_talibs_over_the_joined_bars_whatever_closes_first(
    folder: Path, messages: list[Message], delays_s: tuple[int, int], max_bars: int, anchor_bars: int,
    data: st.DataObject,
) -> None:  # fmt: skip
    """Through restarts, repaired bars and anchors, after each entry."""
    entries = Entries().of(*messages)  # type: ignore[arg-type]  # messages of the stream
    restarts = data.draw(st.sets(st.integers(1, len(entries) - 1), max_size=4))
    table = symbols_file(folder, delays_s=delays_s)
    store, changes = Store(), {"limits": "real", "max_bars_cache": max_bars, "anchor_bars": anchor_bars}
    stage = new_stage(store, folder, symbols_file=table, **changes)
    for place, entry in enumerate(entries):
        if place in restarts:
            stage = new_stage(store, folder, symbols_file=table, **changes)
        store.commit(stage.handle((entry,)))
        if keys.feature_values(0, "EURUSD", "1m") in store.keys:
            check(store, max_bars, anchor_bars)
        while stage.unfinished:
            store.commit(stage.handle(()))
            check(store, max_bars, anchor_bars)


def steady(minutes: int) -> list[Message]:
    """Both symbols in every minute, and a clock entry after each."""
    return [m for m in market(5, minutes, (0.0, 0.0)) if not isinstance(m, HistoryBars)]


def play(stage: FeaturesHandler, store: Store, messages: Sequence[Message]) -> list[Outcome]:
    """Handle messages one by one."""
    return [store.commit(stage.handle((entry,))) for entry in Entries().of(*messages)]  # type: ignore[arg-type]


def drained(stage: FeaturesHandler, store: Store) -> int:
    """Give empty batches until all is done; return how many it took."""
    count = 0
    while stage.unfinished:
        store.commit(stage.handle(()))
        count += 1
    return count


def test_when_the_other_symbols_history_changes_the_old_value_is_gone_at_once(folder: Path) -> None:
    store = Store()
    stage = new_stage(store, folder)
    play(stage, store, steady(40))
    before = shown(store).values
    opens = unpack(store.keys[keys.bar_cache(0, "GBPUSD", "1m")])["open_ms"]
    changed = tuple(bar(int(at), 1.5 + n / 100, symbol="GBPUSD") for n, at in enumerate(opens[-8:]))

    play(stage, store, [HistoryBars("gap1|x", "GBPUSD", "1m", "fx_spot", changed, instead=True)])

    assert check(store, 60, 20)
    assert shown(store).values["theirs"] != before["theirs"]


def test_when_another_class_feeds_the_other_symbol_there_is_no_value_at_once(folder: Path) -> None:
    store = Store()
    stage = new_stage(store, folder)
    play(stage, store, steady(40))
    assert shown(store).values["beta"] is not None

    change = SeriesChange("GBPUSD", "terminal_fx", "fx_spot", MONDAY_MS + 3_600_000, "its terminal sends ticks")
    play(stage, store, [change])

    found = shown(store)
    assert (found.values["beta"], found.values["theirs"]) == (None, None)
    assert found.not_ready["beta"] == "too few bars of both symbols at the same times"


def test_under_load_no_value_of_a_history_that_is_gone_is_shown_either(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.stage.LEAST_S", 0.0)  # a pass has no time for what can wait
    store = Store()
    stage = new_stage(store, folder, pass_s=0.0, timeframes=("1s", "1m", "5m"))
    opens = [MONDAY_MS + n * MINUTE for n in range(30)]
    past = {name: tuple(bar(at, 1.2 + n % 7 / 100, symbol=name) for n, at in enumerate(opens)) for name in PAIR}
    now_ms = MONDAY_MS + 40 * MINUTE
    messages: list[Message] = [clock(now_ms)]
    messages += [HistoryBars("asked", name, "1m", "fx_spot", bars) for name, bars in past.items()]
    play(stage, store, messages)
    drained(stage, store)
    assert check(store, 60, 20)
    before = shown(store).values

    changed = tuple(bar(at, 1.5 + n % 5 / 100, symbol="GBPUSD") for n, at in enumerate(opens))
    entries = (
        Quotes((quote("EURUSD", now_ms, 1.2), quote("GBPUSD", now_ms, 1.3))),
        HistoryBars("gap1|x", "GBPUSD", "1m", "fx_spot", changed, instead=True),
    )
    play(stage, store, entries)

    assert check(store, 60, 20)
    assert shown(store).values != before
    assert drained(stage, store) > 1  # much was put off


def signals_of(outcomes: Sequence[Outcome]) -> list[Signal]:
    return [p.message for one in outcomes for p in one.publish if isinstance(p.message, Signal)]


def test_a_signal_carries_no_value_of_a_pair_that_a_restart_would_not_give_it(folder: Path, tmp_path: Path) -> None:
    """While bars close one by one, the other symbol's bar of the same minute may not have closed yet."""
    plan = tmp_path / "both.toml"
    plan.write_text(DEFAULT_PLAN.read_text() + PLAN.split("\n", 3)[3])
    changes: dict[str, object] = {
        "indicators_file": plan,
        "strategies_file": None,
        "timeframes": ("1m", "5m"),
        "max_bars_cache": 1000,
        "anchor_bars": 100,
    }
    messages = [*warm_up(PAIR), *cycles(PAIR, seed=5, seconds=1_500, every_s=5, sigma=0.002)]
    entries = Entries().of(*messages)
    store, told = Store(), []
    stage = new_stage(store, folder, **changes)
    for entry in entries:
        before, outcome = copy.deepcopy(store), store.commit(stage.handle((entry,)))
        told.append(signals_of([outcome]))
        if told[-1]:  # the same entry, by a process that has just started
            restarted = new_stage(before, folder, **changes)
            assert signals_of([before.commit(restarted.handle((entry,)))]) == told[-1]

    assert sum(any(signal.symbol == "EURUSD" for signal in one) for one in told) > 1


def refused(folder: Path, plan: str, **changes: object) -> str:
    """What the stage says when it is started with this plan."""
    path = folder / "refused.toml"
    path.write_text(f"[indicators]\n{plan}\n")
    given = {"symbols": PAIR, "symbols_file": symbols_file(folder), "indicators_file": path, "limits": "none"}
    made = Settings(_env_file=None, **(given | changes))  # type: ignore[call-arg, arg-type]  # pydantic-settings' own
    with pytest.raises(Fatal) as told:
        make_spec(made, Metrics("features"))
    return str(told.value)


def told_of_beta(folder: Path) -> str:
    return f"INDICATORS_FILE: {folder / 'refused.toml'}, line 2: beta: "


BETA = 'beta = { function = "BETA", inputs = ["close", "GBPUSD:close"], symbols = ["EURUSD"] }'


def test_symbols_of_different_partition_groups_are_refused_at_the_start(folder: Path) -> None:
    assert refused(folder, BETA, symbols_file=symbols_file(folder, ("fx", "pound"))) == (
        f"{told_of_beta(folder)}expected EURUSD and GBPUSD in one partition_group of the symbol table, found fx and"
        " pound"
    )
    # Without a group each symbol is its own.
    assert refused(folder, BETA, symbols_file=None).endswith("found EURUSD and GBPUSD")


def test_symbols_that_are_not_set_are_refused_at_the_start_with_the_nearest_name(folder: Path) -> None:
    assert refused(folder, BETA, symbols=("EURUSD",), symbols_file=None) == (
        f"{told_of_beta(folder)}expected symbols of SYMBOLS (EURUSD), found GBPUSD"
    )
    assert refused(folder, BETA.replace("GBPUSD", "GBPUDS")) == (
        f"{told_of_beta(folder)}expected symbols of SYMBOLS (EURUSD, GBPUSD), found GBPUDS; did you mean GBPUSD?"
    )
    assert refused(folder, BETA.replace('["EURUSD"]', '["eurusd"]')) == (
        f"{told_of_beta(folder)}expected symbols of SYMBOLS (EURUSD, GBPUSD), found eurusd; did you mean EURUSD?"
    )


def test_a_group_may_be_shared_and_the_indicator_runs_on_the_symbols_it_names_alone(folder: Path) -> None:
    tracks = new_stage(Store(), folder).engine.tracks

    assert tracks["EURUSD"].slots["1m"].lane.names == ("ema", "beta", "correlation", "theirs")
    assert tracks["GBPUSD"].slots["1m"].lane.names == ("ema",)
