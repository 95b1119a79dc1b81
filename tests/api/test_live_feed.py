"""The reader of the streams of signals, over several partitions, and the word for a place in them."""

from typing import cast

import pytest
import redis

from api.app import create_app
from api.context import make_context
from api.errors import ApiError
from api.live.client import QUEUE, TOO_SLOW, Entry, Wanted
from api.live.cursor import cursor_text, parse_cursor
from api.live.feed import Feed, backlog
from api.redis_pool import open_pool
from common import keys
from common.entry_ids import EntryId, parse_id
from common.messages import encode
from common.metrics import Metrics
from tests.api.live import until
from tests.api.world import NOON_MS, World, signal_for

ALL = Wanted(1_000.0, frozenset(), None)


def put(client: "redis.Redis", partition: int, symbol: str) -> EntryId:
    """Put a signal into a partition's stream and return its entry id."""
    fields = {keys.FIELD: encode(signal_for(symbol, NOON_MS))}
    return parse_id(cast(bytes, client.xadd(keys.SIGNALS.key(partition), fields)))  # type: ignore[arg-type]  # its stub


async def test_a_place_names_how_far_each_partition_was_read(world: World) -> None:
    feed = Feed([open_pool(world.settings, 1) for _ in range(2)], Metrics("api"))
    for partition in (0, 1):
        await feed.read(partition)  # finds its place
    with feed.joined(ALL, "sse") as client:
        assert client.joined == ((0, 0), (0, 0))
        first = put(world.redis, 1, "EURUSD")
        await feed.read(1)
        second = put(world.redis, 0, "GBPUSD")
        await feed.read(0)
        entries = [await client.next(5.0), await client.next(5.0)]
        assert [(e.cursor, e.signal.symbol) for e in entries if e is not None] == [
            (((0, 0), first), "EURUSD"),
            ((second, first), "GBPUSD"),
        ]
        third = put(world.redis, 1, "US500")
        await feed.read(1)
    pool = open_pool(world.settings, 1)
    missed, complete = await backlog(pool, ((0, 0), first), (second, third))
    assert [(entry.cursor, entry.signal.symbol) for entry in missed] == [
        ((second, first), "GBPUSD"),
        ((second, third), "US500"),
    ]
    assert complete is False  # of partition 0 nobody knows what was before
    assert await backlog(pool, (second, third), (second, third)) == ([], True)
    await pool.close()
    await feed.close()


async def test_an_entry_that_this_release_can_not_read_is_passed_over(world: World) -> None:
    feed = Feed([open_pool(world.settings, 1)], Metrics("api"))
    await feed.read(0)
    with feed.joined(ALL, "sse") as client:
        world.redis.xadd("{0}:signals", {"m": "{}"})
        world.redis.xadd("{0}:signals", {"other": "x"})
        last = put(world.redis, 0, "EURUSD")
        await feed.read(0)
        entry = await client.next(5.0)
        assert entry is not None
        assert (entry.cursor, entry.signal.symbol) == ((last,), "EURUSD")
    await feed.close()


async def test_a_client_for_whom_too_much_waits_is_sent_away(world: World) -> None:
    metrics = Metrics("api")
    feed = Feed([open_pool(world.settings, 1)], metrics)
    await feed.read(0)
    with feed.joined(ALL, "sse") as client:
        for _ in range(QUEUE):
            client.offer(Entry(((1, 0),), signal_for("EURUSD", NOON_MS)))
        assert not client.ended.done()
        client.offer(Entry(((2, 0),), signal_for("EURUSD", NOON_MS)))
        assert await client.ended is TOO_SLOW
    await until(lambda: [s.name for s in metrics.snapshot().counters] == ["md_live_clients_dropped_total"])
    await feed.close()


async def test_live_clients_are_taken_up_from_the_first_moment(world: World) -> None:
    newest = put(world.redis, 0, "EURUSD")
    context = make_context(world.settings, world.wall)
    app = create_app(context)
    async with app.router.lifespan_context(app):  # the server listens from here on
        with context.live.joined(ALL, "sse") as client:
            assert client.joined == (newest,)


async def test_before_redis_was_ever_read_nobody_is_taken_up(world: World) -> None:
    feed = Feed([open_pool(world.settings, 1)], Metrics("api"))
    with pytest.raises(ApiError) as refused, feed.joined(ALL, "sse"):
        pass
    assert (refused.value.status, refused.value.code) == (503, "redis_away")


@pytest.mark.parametrize(
    ("text", "partitions", "cursor"),
    [
        ("1781704800000-3", 1, ((1781704800000, 3),)),
        ("1781704800000", 1, ((1781704800000, 0),)),
        ("1781704800000", 2, ((1781704800000, 0), (1781704800000, 0))),
        ("5-1.0-0", 2, ((5, 1), (0, 0))),
        ("9-1.5-2", 1, ((5, 2),)),  # of another number of partitions: from the oldest place on
        ("0", 1, ((0, 0),)),
    ],
)
def test_a_place_that_was_given_back(text: str, partitions: int, cursor: tuple[tuple[int, int], ...]) -> None:
    assert parse_cursor(text, partitions) == cursor
    assert parse_cursor(cursor_text(cursor), partitions) == cursor


@pytest.mark.parametrize("text", ["", "-", "1-", "-1", "1.", "x", "1-2-3", "1e3", "+1", "1" * 16, "1." * 600])
def test_a_place_that_is_none(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_cursor(text, 1)
    assert refused.value.status == 422
