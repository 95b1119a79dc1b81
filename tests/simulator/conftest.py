"""A client of a simulator of made prices, and the recordings."""

from pathlib import Path

import pytest

from tests.simulator.kit import Client, client_of, made


@pytest.fixture
async def client() -> Client:
    client = client_of(made())
    await client.go(125)
    return client


@pytest.fixture
def recorded(shared: Path) -> Path:
    return shared / "providers"
