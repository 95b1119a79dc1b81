"""One market for all: it takes some time to make, and nothing changes it."""

import pytest

from tests.common.own_indicators.histories import F64, market


@pytest.fixture(scope="session")
def market_bars() -> dict[str, F64]:
    """Five-minute bars of four UTC days."""
    return market(seed=20240101, days=4)
