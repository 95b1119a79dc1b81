"""What every function keeps, bit for bit: how it was opened and what was peeked at leave no trace."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.indicators.own import OWN
from tests.common.own_indicators.histories import F64, SMALL, bits, columns_of, histories
from tests.support_examples import examples

EXTRA_BARS = 40
NAMES = sorted(OWN)
OVER_WINDOWS = [name for name in NAMES if OWN[name].memory == "window"]


def least_bars(name: str) -> int:
    return OWN[name].lookback(SMALL.get(name, {})) + 1


def drawn(data: st.DataObject, name: str) -> list[F64]:
    """Draw a history of at least one bar more than a value needs."""
    least = least_bars(name) + 1
    return columns_of(name, data.draw(histories(least, least + EXTRA_BARS)))


@pytest.mark.parametrize("name", NAMES)
@examples(60)
@given(data=st.data())
def test_opening_earlier_and_updating_equals_opening_later(name: str, data: st.DataObject) -> None:
    columns, params = drawn(data, name), SMALL.get(name, {})
    count = len(columns[0])
    first = data.draw(st.integers(least_bars(name), count - 1))
    running = OWN[name].open(*(column[:first] for column in columns), **params)
    for place in range(first, count):
        peeked = running.peek(*(float(column[place]) for column in columns))
        updated = running.update(*(float(column[place]) for column in columns))
        opened = OWN[name].open(*(column[: place + 1] for column in columns), **params)
        assert bits(updated) == bits(peeked) == bits(running.value) == bits(opened.value)


@pytest.mark.parametrize("name", NAMES)
@examples(40)
@given(data=st.data())
def test_peeking_and_updating_a_copy_change_nothing(name: str, data: st.DataObject) -> None:
    columns = drawn(data, name)
    running = OWN[name].open(*(column[:-1] for column in columns), **SMALL.get(name, {}))
    before, other = bits(running.value), columns_of(name, data.draw(histories(3, 3)))
    newest = [float(column[-1]) for column in columns]
    untouched = running.copy()
    twin = running.copy()
    for place in range(3):
        running.peek(*(float(column[place]) for column in other))
        twin.update(*(float(column[place]) for column in other))
    assert bits(running.value) == bits(untouched.value) == before
    assert bits(running.update(*newest)) == bits(untouched.peek(*newest)) == bits(untouched.copy().update(*newest))


@pytest.mark.parametrize("name", OVER_WINDOWS)
@examples(60)
@given(data=st.data())
def test_value_rests_on_its_window_alone(name: str, data: st.DataObject) -> None:
    columns, params, least = drawn(data, name), SMALL.get(name, {}), least_bars(name)
    running = OWN[name].open(*(column[:least] for column in columns), **params)
    for place in range(least, len(columns[0])):
        running.update(*(float(column[place]) for column in columns))
    window = OWN[name].open(*(column[-least:] for column in columns), **params)
    assert bits(running.value) == bits(window.value)


@pytest.mark.parametrize("name", NAMES)
@examples(60)
@given(data=st.data())
def test_whatever_a_bar_holds_values_are_finite_or_nan(name: str, data: st.DataObject) -> None:
    columns = drawn(data, name)
    least = least_bars(name)
    running = OWN[name].open(*(column[:least] for column in columns), **SMALL.get(name, {}))
    values = [running.value]
    values += [running.update(*map(float, bar)) for bar in zip(*(column[least:] for column in columns), strict=True)]
    assert not np.isinf(np.array(values)).any()
    outputs = {len(value) if isinstance(value, tuple) else 1 for value in values}
    assert outputs == {len(OWN[name].outputs)}
    assert isinstance(running.value, tuple) == (len(OWN[name].outputs) > 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_output_has_a_value_in_a_market(name: str, market_bars: dict[str, F64]) -> None:
    running = OWN[name].open(*columns_of(name, market_bars))
    assert np.isfinite(np.array(running.value)).all()


@pytest.mark.parametrize("name", OVER_WINDOWS)
def test_lookback_is_the_least_that_gives_a_value(name: str, market_bars: dict[str, F64]) -> None:
    columns = columns_of(name, market_bars)
    least = OWN[name].lookback() + 1
    assert np.isfinite(np.array(OWN[name].open(*(column[:least] for column in columns)).value)).all()
    with pytest.raises(ValueError, match=f"from {least}, found"):
        OWN[name].open(*(column[: least - 1] for column in columns))
