"""When a lane's verdict on its values is worked out anew."""

import pytest

from common.indicators import Program, load_plan
from features.readiness import Judge, Standing

SETTLED = 3_000
"""Bars: more than any indicator of the plan needs."""


@pytest.fixture(name="program")
def _program() -> Program:
    return load_plan(None).program("EURUSD", "1m")


def lasting(program: Program, *standings: Standing) -> list[bool]:
    """Return after each of these whether the verdict lasts until the values change it."""
    judge, values = Judge(program, lambda _, __: 0), [1.0] * len(program.names)
    found = []
    for at in standings:
        judge.look(at, values)
        found.append(judge.lasting)
    return found


def test_a_verdict_lasts_as_soon_as_the_sessions_bars_suffice(program: Program) -> None:
    assert program.session_settle_bars == 1
    assert lasting(program, *(Standing(SETTLED, bars, SETTLED) for bars in (1, 2, 3))) == [False, True, True]


def test_a_verdict_does_not_last_while_volume_of_two_kinds_is_counted(program: Program) -> None:
    assert lasting(program, *(Standing(SETTLED, 2_000 + bars, bars) for bars in (1, 2))) == [False, False]


def test_a_verdict_lasts_where_the_sessions_beginning_is_not_known(program: Program) -> None:
    assert lasting(program, Standing(SETTLED, None, SETTLED)) == [True]
