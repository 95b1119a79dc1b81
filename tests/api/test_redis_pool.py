"""The pool: answers never change places, and what Redis can't do now is told apart from what it never can."""

import asyncio

import pytest
from redis.exceptions import ResponseError

from api.redis_pool import RedisAway, RedisPool, open_pool
from tests.api.world import World


@pytest.fixture
def pool(world: World) -> RedisPool:
    """A pool of one connection, so that two exchanges must share it."""
    return open_pool(world.settings.model_copy(update={"redis_pool_size": 1}))


async def test_an_answer_that_came_too_late_is_never_taken_for_another_one(pool: RedisPool) -> None:
    assert await pool.exchange([("PING",)]) == [b"PONG"]
    with pytest.raises(RedisAway, match="no answer within"):
        await pool.exchange([("BLPOP", "nothing", 0.3)], within_s=0.05)
    assert await pool.exchange([("ECHO", "mine")]) == [b"mine"]
    assert pool.losses == 1
    await pool.close()


async def test_a_cancelled_exchange_leaves_nothing_behind(pool: RedisPool) -> None:
    task = asyncio.create_task(pool.exchange([("BLPOP", "nothing", 0.3)]))
    await asyncio.sleep(0)
    await asyncio.wait([task], timeout=0.05)
    task.cancel()
    await asyncio.wait([task])
    assert await pool.exchange([("ECHO", "mine")]) == [b"mine"]
    await pool.close()


async def test_a_connection_that_redis_closed_is_replaced_and_counted(world: World, pool: RedisPool) -> None:
    await pool.exchange([("PING",)])
    world.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")  # type: ignore[no-untyped-call]
    assert await pool.exchange([("ECHO", "mine")]) == [b"mine"]
    assert pool.losses == 1
    await pool.close()


async def test_an_error_reply_is_a_value_but_out_of_memory_means_away(world: World, pool: RedisPool) -> None:
    world.redis.set("text", "x")
    replies = await pool.exchange([("LPUSH", "text", "y"), ("ECHO", "mine")])
    assert isinstance(replies[0], ResponseError)
    assert replies[1] == b"mine"
    world.redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(RedisAway, match="memory"):
            await pool.exchange([("SET", "a", "b" * 1000)])
    finally:
        world.redis.config_set("maxmemory", "0")
    await pool.close()
