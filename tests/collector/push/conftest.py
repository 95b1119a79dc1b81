"""A vendor that pushes, and the symbols of which it does."""

from collections.abc import AsyncIterator

import pytest

from common.symbols import SymbolTable
from tests.collector.kit import table_of
from tests.collector.push.kit import SYMBOLS, PushServer, push_server


@pytest.fixture
async def push_to() -> AsyncIterator[PushServer]:
    async with push_server() as made:
        yield made


@pytest.fixture
def table() -> SymbolTable:
    return table_of(["a"], SYMBOLS)
