"""Lists of records read as one piece of bytes each: the same bytes as item by item, whatever stands there."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Fatal
from common.packed_lists import AHEAD, READ_BYTES, packed_lists
from common.redis_link import Link, RedisAway, link_to
from tests.common.conftest import LinkFactory
from tests.conftest import RedisServer, start_valkey
from tests.support_examples import examples
from tests.support_proxy import FaultProxy

SIZE = 12
MANY = READ_BYTES // SIZE  # more than one piece of the socket's, with what stands around each item


def records(count: int, size: int = SIZE) -> list[bytes]:
    """Return records with ends of lines in them, as binary ones may have."""
    return [b"\r\n$%08d" % number + b"\r\n" * ((size - 11) // 2) + b"x" * ((size - 11) % 2) for number in range(count)]


def store(link: Link, name: str, items: list[bytes]) -> None:
    for at in range(0, len(items), 1000):
        link.call("RPUSH", name, *items[at : at + 1000])


def test_each_list_comes_joined_in_the_order_of_the_names_and_a_missing_one_empty(link: Link) -> None:
    store(link, "a", records(3))
    store(link, "c", records(2))
    found = list(packed_lists(link, ("c", "missing", "a", "c"), 10, SIZE))
    assert found == [b"".join(records(2)), b"", b"".join(records(3)), b"".join(records(2))]


def test_only_the_last_items_come(link: Link) -> None:
    store(link, "a", records(30))
    assert list(packed_lists(link, ("a",), 7, SIZE)) == [b"".join(records(30)[-7:])]


def test_no_names_give_nothing_and_ask_nothing(link: Link) -> None:
    assert list(packed_lists(link, (), 7, SIZE)) == []


def test_long_lists_come_whole_over_many_pieces(redis_server: RedisServer) -> None:
    link = emptied(redis_server)
    store(link, "long", records(MANY))
    store(link, "short", records(1))
    names = ("long", "short", "long", "long")
    found = list(packed_lists(link, names, MANY, SIZE))
    assert [len(joined) for joined in found] == [MANY * SIZE, SIZE, MANY * SIZE, MANY * SIZE]
    assert {bytes(joined) for joined in found} == {b"".join(records(MANY)), b"".join(records(1))}


of_one_size = st.integers(SIZE - 3, SIZE).flatmap(lambda n: st.lists(st.binary(min_size=n, max_size=n), max_size=6))


@examples(200)
@given(st.lists(of_one_size, max_size=6))
def test_lists_of_other_sizes_come_as_well(redis_server: RedisServer, lists: list[list[bytes]]) -> None:
    link = emptied(redis_server)
    for number, items in enumerate(lists):
        if items:
            store(link, f"list {number}", items)
    names = [f"list {number}" for number in range(len(lists))]
    assert list(packed_lists(link, names, 10, SIZE)) == [b"".join(items) for items in lists]


@pytest.mark.parametrize("place", [0, 1, 9])
@pytest.mark.parametrize("size", [SIZE - 1, SIZE + 1, SIZE * 10])
def test_one_item_of_another_size_spoils_nothing(redis_server: RedisServer, place: int, size: int) -> None:
    link, items = emptied(redis_server), records(10)
    items[place] = b"x" * size
    store(link, "odd", items)
    store(link, "even", records(10))
    connected = link.raw_socket()
    assert connected is not None
    connected.settimeout(0.2)  # more is waited for than comes
    found = list(packed_lists(link, ("even", "odd", "even"), 10, SIZE))
    assert found == [b"".join(records(10)), b"".join(items), b"".join(records(10))]


def test_a_key_that_holds_no_list_is_fatal_and_named_after_the_lists_before_it(link: Link) -> None:
    store(link, "a", records(2))
    link.call("SET", "text", "x")
    found = packed_lists(link, ("a", "text", "a"), 10, SIZE)
    assert next(found) == b"".join(records(2))
    with pytest.raises(Fatal, match=r"text: expected a list, found WRONGTYPE"):
        next(found)


def test_the_connection_can_be_used_for_other_things_before_between_and_after(new_link: LinkFactory) -> None:
    link, other = new_link(), new_link()
    store(link, "a", records(2))
    for joined in packed_lists(link, ["a"] * (AHEAD * 3), 10, SIZE):
        assert joined == b"".join(records(2))
        assert other.call("PING") == b"PONG"
    assert link.call("LLEN", "a") == 2


def test_replies_that_nobody_took_are_never_read_as_other_answers(link: Link) -> None:
    store(link, "a", records(2))
    found = packed_lists(link, ["a"] * (AHEAD * 3), 10, SIZE)
    next(found)
    found.close()  # type: ignore[attr-defined]  # a generator
    assert link.call("PING") == b"PONG"


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[FaultProxy]:
    """The proxy before that Valkey."""
    with closing(FaultProxy(redis_server.port)) as made:
        yield made


@pytest.mark.parametrize("passed", [10, 200, 5_000, 100_000])
def test_a_connection_reset_in_the_middle_of_a_list_is_made_anew(
    redis_server: RedisServer, proxy: FaultProxy, passed: int
) -> None:
    store(emptied(redis_server), "a", records(2_000))
    link = link_to("127.0.0.1", proxy.port)
    link.call("PING")
    proxy.reset_after("replies", passed)
    assert list(packed_lists(link, ["a"] * 20, 2_000, SIZE)) == [b"".join(records(2_000))] * 20
    assert proxy.faults == 1


def test_a_server_that_is_gone_is_said_to_be_away(tmp_path: Path) -> None:
    server = start_valkey(tmp_path)
    link = server.link()
    store(link, "a", records(2))
    found = packed_lists(link, ["a"] * (AHEAD * 3), 10, SIZE)
    next(found)
    server.process.kill()
    server.process.wait()
    with pytest.raises(RedisAway):
        list(found)


def emptied(server: RedisServer) -> Link:
    """Return a connection to the server, of which everything was deleted."""
    link = server.link()
    link.call("FLUSHALL")
    return link
