"""An engine that has lived through a day, and an api with its plan."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import redis

from common.indicators.plan_file import BUILTIN
from tests.api.indicators.asking import (
    ANCHOR_BARS,
    MAX_BARS,
    MORE,
    Api,
)
from tests.api.world import World, serving, settings_for
from tests.conftest import RedisServer
from tests.features.market import cycles, past, warm_up
from tests.features.support import Entries, Store, handler, history


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plan that comes with the project, and more."""
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    path.write_text(BUILTIN.read_text() + MORE)
    return path


@pytest.fixture(scope="module")
def lived(plan_file: Path) -> Store:
    """What the engine keeps after 3,000 bars of history and eight hours of quotes, with anchors in them."""
    store, entries = Store(), Entries()
    text = "".join(line for line in plan_file.read_text().splitlines(keepends=True) if "US500" not in line)
    path = plan_file.with_name("engine.toml")  # without the pair: the symbol table has each symbol in its own group
    path.write_text(text)
    stage = handler(
        store, ("EURUSD",), indicators_file=path, timeframes=("1m",), max_bars_cache=MAX_BARS, anchor_bars=ANCHOR_BARS,
        collection_interval=60.0,
    )  # fmt: skip
    (first, *_) = warm_up(("EURUSD",), ("1m",))
    market = cycles(("EURUSD",), 7, 8 * 3_600, every_s=20)
    for entry in entries.of(first, history(past("EURUSD", "1m", 3, 3_000)), *market):
        store.commit(stage.handle((entry,)))
    return store


@pytest.fixture
def world(redis_server: RedisServer, redis_client: "redis.Redis", tmp_path: Path, plan_file: Path) -> World:
    """An empty Redis, and an api with the plan above."""
    changes = {"max_bars_cache": MAX_BARS, "anchor_bars": ANCHOR_BARS, "indicators_file": plan_file}
    return World(redis_client, settings_for(redis_server.port, tmp_path, **changes))


@pytest_asyncio.fixture
async def api(world: World) -> AsyncIterator[Api]:
    async with serving(world) as pair:
        yield pair
