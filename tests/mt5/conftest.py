"""Fixtures: the advisor, compiled, and at its desk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import redis

from tests.api.world import World, serving, settings_for
from tests.conftest import RedisServer
from tests.mt5.desk import INDEX, TOKEN, Desk
from tests.mt5.terminal import COMPILER, compiled, start


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The advisor, compiled."""
    if COMPILER is None:
        pytest.skip("no C++ compiler")
    return compiled(tmp_path_factory.mktemp("mt5"))


@pytest_asyncio.fixture
async def desk(
    redis_server: RedisServer, redis_client: "redis.Redis", tmp_path: Path, program: Path
) -> AsyncIterator[Desk]:
    """An advisor that trades NAS100, has an account of 10,000 and has not begun."""
    world = World(redis_client, settings_for(redis_server.port, tmp_path, api_token=TOKEN))
    world.alive("NAS100", "XAUUSD")
    async with serving(world) as (client, _):
        terminal = start(program)
        made = Desk(terminal, world, client)
        terminal.server = made.answer
        await terminal.symbol("US100.e", INDEX)
        await terminal.account(EQUITY=10_000.0, BALANCE=10_000.0, MARGIN_FREE=9_000.0)
        for name, value in {"InpToken": TOKEN, "InpSymbols": "US100.e", "InpTrade": "true"}.items():
            await terminal.tell(f"input {name} {value}")
        yield made
        terminal.stop()
