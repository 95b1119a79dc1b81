"""When an indicator over two symbols can be relied on: it rests on the bars that both have, not on the lane's own."""

from pathlib import Path

import pytest

from common.features import FeatureSet
from common.indicators import parse_plan
from common.messages import Clock, Quotes
from tests.features.joined import MINUTE, PLAN, new_stage, shown
from tests.features.support import MONDAY_MS, Entries, Store, clock, quote

CLOSED = 40
"""Bars that the lane itself has: enough for all of the plan."""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path


def after(folder: Path, common: int, *, restart: bool = False) -> FeatureSet:
    """Return what is shown when the other symbol has traded in so many of the last minutes alone."""
    store, messages = Store(), list[Quotes | Clock]([clock(MONDAY_MS)])
    for n in range(CLOSED):
        open_ms, price = MONDAY_MS + n * MINUTE, 1.1 + n % 7 / 100
        quotes = [quote("EURUSD", open_ms, price)]
        if n >= CLOSED - common:
            quotes.append(quote("GBPUSD", open_ms, price + n % 3 / 100))
        messages += [Quotes(tuple(quotes)), clock(open_ms + MINUTE + 2_000)]
    stage = new_stage(store, folder)
    for entry in Entries().of(*messages):
        store.commit(stage.handle((entry,)))
    if restart:
        stage = new_stage(store, folder)
        store.commit(stage.handle(()))
    return shown(store)


@pytest.mark.parametrize("restart", [False, True])
def test_it_is_not_ready_before_enough_bars_of_both(folder: Path, restart: bool) -> None:
    """theirs is an EMA(4): ready after five lookbacks, 15 bars; correlation takes 6 bars, beta 6 and one before."""
    few = "too few bars of both symbols at the same times"

    assert after(folder, 14, restart=restart).not_ready == {"theirs": f"{few}: 14 of 15"}
    assert after(folder, 15, restart=restart).not_ready == {}
    assert after(folder, 4, restart=restart).not_ready == {
        "beta": f"{few}: 4 of 6",
        "correlation": f"{few}: 4 of 6",
        "theirs": f"{few}: 4 of 15",
    }
    assert after(folder, 0, restart=restart).not_ready == dict.fromkeys(("beta", "correlation", "theirs"), few)


def test_what_is_short_of_common_bars_does_not_hold_up_the_lane(folder: Path) -> None:
    assert after(folder, 14).ready


def test_half_of_the_kept_bars_must_suffice_for_it() -> None:
    """It begins half a window before the anchor."""
    plan = parse_plan(
        '[indicators]\nx = { function = "EMA", timeperiod = 200, input = "US500:close", symbols = ["NAS100"] }', "one"
    )
    assert plan.needed_bars == plan.indicators[0].needed_bars == 2 * plan.indicators[0].settle_bars == 1990
