"""Walk-forward: what is chosen rests on the past alone, and what it earned afterwards is told beside it."""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import backtest.__main__ as command
from backtest.figures import resampled_means
from backtest.grid import OWN, read_grid, variants
from backtest.trades import Costs, Trade
from backtest.walk import INSIDE, Walked, block_means, forward, pick, windows
from common.strategies.strategy_file import BUILTIN
from features.rules import lane_outputs
from tests.backtest.made import MINUTE, history, setting, settings, walk
from tests.backtest.test_main import written

BARS = walk(3, 2_400)
HISTORY = history(BARS)
TIMES = HISTORY.times()
FREE = Costs(0.0, 0.0)
PARTS = windows(TIMES, MINUTE, 5)


def trade(place: int, r: float) -> Trade:
    """A trade of ten bars that gained so many R, a tenth of a percent of the price each."""
    closed_ms = int(TIMES[place]) + 10 * MINUTE
    return Trade(f"t{place}", 1, place, place + 9, 1.0, 1.0 + r / 1_000, 0.001, closed_ms, "target")


def regularly(r: Sequence[float]) -> list[Trade]:
    """A trade every twenty bars, with these results in turn."""
    return [trade(place, r[n % len(r)]) for n, place in enumerate(range(0, len(BARS) - 20, 20))]


def walked(*sets: list[Trade]) -> Walked:
    named = [(f"set {n}", trades) for n, trades in enumerate(sets)]
    return forward(HISTORY, {"s": named}, FREE, 5, 1).walked[0]


def test_each_part_is_traded_after_the_choice_and_once() -> None:
    assert [(w.outside_ms - w.inside_ms) // MINUTE for w in PARTS] == [INSIDE * 300] * 5
    assert [w.outside_ms for w in PARTS[1:]] == [w.end_ms for w in PARTS[:-1]]
    assert (PARTS[0].inside_ms, PARTS[-1].end_ms) == (TIMES[0], TIMES[-1] + MINUTE)


def test_the_choice_rests_on_trades_that_have_ended_inside() -> None:
    window = PARTS[0]
    steady = regularly([0.1])
    later = [t if TIMES[t.first] >= window.outside_ms else replace(t, exit=t.entry - 0.0001) for t in regularly([9.0])]
    assert pick([steady, later], window, TIMES).variant == 0
    # One that begins inside and ends after it would tell of what comes: it doesn't count.
    open_at_the_end = [*regularly([0.05]), replace(trade(895, 500.0), closed_ms=window.outside_ms + 1)]
    assert pick([steady, open_at_the_end], window, TIMES).variant == 0


def test_what_comes_after_changes_no_choice() -> None:
    window = PARTS[1]
    before = pick([regularly([0.1]), regularly([0.2])], window, TIMES)
    turned = [
        t if t.closed_ms <= window.outside_ms else replace(t, exit=2 * t.entry - t.exit) for t in regularly([0.2])
    ]
    assert pick([regularly([0.1]), turned], window, TIMES) == before


def test_of_few_trades_nothing_is_chosen() -> None:
    lucky = regularly([5.0])[:9]
    found = pick([regularly([-0.1]), lucky], PARTS[0], TIMES)
    assert found.variant == 0
    assert found.r == pytest.approx(-0.1)


def test_the_best_of_many_sets_of_chance_shines_inside_and_not_outside() -> None:
    rng = np.random.default_rng(11)
    sets = [regularly(list(rng.choice([-1.0, 1.0], 200))) for _ in range(40)]
    found = walked(*sets)
    assert found.inside_r is not None
    assert found.inside_r > 0.3
    assert abs(found.outside_r) < 0.3
    assert found.verdict.startswith("NO EDGE")


def test_a_set_that_goes_on_earning_is_found_and_called_so() -> None:
    found = walked(regularly([-0.1]), regularly([2.0, 1.5, 1.0]))
    assert found.labels == ("set 1",) * 5
    assert found.outside_r == pytest.approx(1.5, abs=0.05)
    assert found.verdict.startswith("an edge")


def test_trades_that_hang_together_have_a_wider_interval() -> None:
    rng = np.random.default_rng(5)
    runs = np.repeat(rng.choice([-1.0, 1.0], 40), 5)
    blocks, single = (np.ptp(np.quantile(f(runs), (0.025, 0.975))) for f in (block_means, resampled_means))
    assert blocks > 1.5 * single


def test_the_grid_gives_files_that_can_be_used() -> None:
    text = BUILTIN.read_text()
    found = variants(text, read_grid())
    assert tomllib.loads(found[0].text) == tomllib.loads(text)
    assert set(found[0].labels.values()) == {OWN}
    assert all(len({v.labels[name] for v in found}) == len(found) == 5 for name in found[0].labels)
    made = setting(BARS[:10])
    outputs = lane_outputs(made.rules.plan, settings())
    from common.strategies import parse_strategies

    for variant in found:
        assert [s.name for s in parse_strategies(variant.text, "grid", outputs)] == list(variant.labels)


def test_the_report_tells_of_the_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "load_settings", settings)
    monkeypatch.setattr(command, "peeks", lambda *_: [])
    assert command.main(["--walk", "2", str(written(tmp_path, BARS[:120]))]) == command.TESTED
    said = capsys.readouterr().out
    assert "walk-forward: 2 times the best of up to 5 sets, chosen on 3 parts and traded on the next one" in said
    assert "NO STRATEGY HAS AN EDGE OUT OF SAMPLE" in said
    assert command.main(["--walk", "200", str(written(tmp_path, BARS[:120]))]) == command.UNDONE
    assert command.main(["--walk", "90", str(written(tmp_path, BARS[:50]))]) == command.UNDONE
