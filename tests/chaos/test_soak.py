"""A short soak: what grows with every cycle shows in it, too."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import soak, soak_page
from tests.chaos.matrix import fault
from tests.chaos.soak_samples import Sample, Soak, tenths

CYCLES = 3_000
FLAT = Soak(100, 1.0, 0, 0, 0, 0, 0, {"api, MB": [90.0] * 10, "api, fds": [20.0] * 10, "pending entries": [99.0] * 10})


@pytest.mark.timeout(400)
@fault(
    "F18",
    row="3,000 cycles at full speed with pushed prices, faults of vendors, a kill of each stage and a client",
    promise="no cycle lost; memory, file descriptors, SQLite's log, streams and pending lists flat",
    teeth="validator/stage.py: in handle, keep every batch in a list",
)
def test_a_short_soak_is_flat(tmp_path: Path, measured: Callable[..., None]) -> None:
    found = soak.run(tmp_path, CYCLES, kills=1, seed=7)
    assert soak_page.not_flat(found) == []
    measured(cycles_a_second=found.cycles / found.took_s, lost_cycles=found.lost_cycles, quotes=found.quotes)


def test_growth_is_told_by_name() -> None:
    grown = replace(FLAT, table={**FLAT.table, "api, MB": [90.0] * 9 + [108.0], "api, fds": [20.0] * 9 + [27.0]})
    assert soak_page.not_flat(FLAT) == []
    assert soak_page.not_flat(replace(FLAT, lost_cycles=1)) == ["lost cycles: 1"]
    assert {line.partition(":")[0] for line in soak_page.not_flat(grown)} == {"api, MB", "api, fds"}


def test_growth_since_the_last_kill_is_told_even_if_the_first_tenth_was_as_high() -> None:
    shrunk = replace(FLAT, table={"api, MB": [110.0] * 4 + [80.0] * 5 + [105.0]})
    assert soak_page.not_flat(shrunk) == ["api, MB: 105.0, expected at most 96.0"]


def test_the_tenths_are_medians_of_their_cycles() -> None:
    samples = [Sample(cycle, {"x": float(cycle)}) for cycle in range(11, 111)]
    assert tenths(samples, 10, 100)["x"] == [15.5 + 10 * tenth for tenth in range(10)]
