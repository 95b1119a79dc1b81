"""The stages' connection: a reply is whole and belongs to its question, or there is none."""

import gc
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    DataError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)

from common.errors import Fatal
from common.redis_link import Link, RedisAway, link_to
from common.redis_wire import Command, Wire, connect, packed
from tests.conftest import RedisServer
from tests.support import free_port
from tests.support_examples import examples

REPLIES = b"$5\r\nhello\r\n*3\r\n$1\r\na\r\n$-1\r\n:7\r\n+OK\r\n-WRONGTYPE not a list\r\n"
FOUR: list[Command] = [("A",)] * 4
WORDS = st.one_of(st.text(), st.binary(), st.integers(), st.floats())


def told(replies: list[object]) -> list[object]:
    """Return the replies, errors by their text."""
    return [str(reply) if isinstance(reply, ResponseError) else reply for reply in replies]


@contextmanager
def wire_to(script: Callable[[socket.socket], None], silent_s: float = 10.0) -> Iterator[Wire]:
    """Give a wire whose other side plays a script."""
    ours, theirs = socket.socketpair()
    ours.settimeout(silent_s)
    thread = threading.Thread(target=script, args=(theirs,))
    thread.start()
    wire = Wire(lambda: ours)
    try:
        yield wire
    finally:
        wire.close()
        thread.join()
        theirs.close()


def answering(*pieces: bytes) -> Callable[[socket.socket], None]:
    """Return a script that reads a question and answers in these pieces, and then says no more."""

    def script(theirs: socket.socket) -> None:
        theirs.recv(1_000)
        for piece in pieces:
            theirs.sendall(piece)
        theirs.shutdown(socket.SHUT_WR)

    return script


@given(st.lists(st.tuples(st.text(min_size=1), WORDS, WORDS), max_size=4))
@examples(200)
def test_commands_are_packed_as_redis_py_packs_them(commands: list[Command]) -> None:
    peer = redis.Connection()  # type: ignore[no-untyped-call]  # redis-py's constructor has no annotations
    try:
        expected = b"".join(
            peer.pack_commands([(b"GET", *command) for command in commands])  # type: ignore[no-untyped-call]  # redis-py
        )
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            packed([(b"GET", *command) for command in commands])
        return
    assert packed([(b"GET", *command) for command in commands]) == expected


@pytest.mark.parametrize("word", [None, True, [1], object(), "\udcff"])
def test_what_is_no_word_is_refused_and_nothing_is_sent(word: object) -> None:
    with wire_to(answering(b"+OK\r\n")) as wire:
        with pytest.raises(DataError):
            wire.exchange([("SET", "a", word)])  # type: ignore[list-item]  # what it must refuse
        assert wire.exchange([("PING",)]) == [b"OK"]


@given(cuts=st.lists(st.integers(0, len(REPLIES)), max_size=12))
@examples(100)
def test_replies_in_any_pieces_are_the_same(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(REPLIES)]
    with wire_to(answering(*(REPLIES[begin:end] for begin, end in pairwise(edges)))) as wire:
        assert told([*wire.exchange(FOUR)]) == [b"hello", [b"a", None, 7], b"OK", "WRONGTYPE not a list"]


@pytest.mark.parametrize("begun", [b"", b"*3\r\n$1\r\na", b"$5\r\nhello\r\n"])
def test_a_connection_that_ends_within_the_replies_fails(begun: bytes) -> None:
    with wire_to(answering(begun)) as wire, pytest.raises(RedisError, match="closed by server"):
        wire.exchange(FOUR)


@pytest.mark.parametrize(
    ("reply", "error", "text"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", RedisError, "Protocol error"),
        (REPLIES + b"+MORE\r\n", RedisError, "more than was asked"),
        (b"+OK\r\n-LOADING Redis is loading\r\n+OK\r\n+OK\r\n", BusyLoadingError, "is loading"),
        (b"+OK\r\n*2\r\n+OK\r\n-LOADING Redis is loading\r\n+OK\r\n+OK\r\n", BusyLoadingError, "is loading"),
        (b"-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n+OK\r\n", AuthenticationError, "required"),
    ],
)
def test_a_reply_that_is_none_to_the_question_fails(reply: bytes, error: type[Exception], text: str) -> None:
    with wire_to(answering(reply)) as wire, pytest.raises(error, match=text):
        wire.exchange(FOUR)


def test_an_error_within_a_transaction_is_a_value_of_its_class() -> None:
    with wire_to(answering(b"*2\r\n+OK\r\n-OOM command not allowed\r\n")) as wire:
        (replies,) = wire.exchange([("EXEC",)])
    assert isinstance(replies, list)
    assert (replies[0], type(replies[1])) == (b"OK", OutOfMemoryError)


def test_a_server_that_is_silent_is_away_and_the_next_exchange_connects_anew() -> None:
    other = socket.create_server(("127.0.0.1", 0))
    link = Link(lambda: connect("127.0.0.1", other.getsockname()[1], 0, "", 2.0, 0.05), "silent")
    for _ in range(2):
        with pytest.raises(RedisAway, match="silent: timed out"):
            link.call("PING")
        other.accept()[0].close()
    other.close()


def test_a_connection_that_is_forgotten_within_a_circle_is_closed_without_complaint() -> None:
    ours, theirs = socket.socketpair()
    handed = [ours]
    del ours

    def connected() -> socket.socket:
        gc.collect(0)  # of a circle whose socket is the younger generation's the socket is finalized first
        return socket.socket(fileno=handed.pop().detach())

    circle: list[object] = [Wire(connected)]
    circle.append(circle)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        del circle
        gc.collect()
    assert theirs.recv(1) == b""
    theirs.close()
    assert [str(one.message) for one in told] == []


def test_no_server_is_away() -> None:
    with pytest.raises(RedisAway, match="refused"):
        link_to("127.0.0.1", free_port()).call("PING")


def test_the_password_and_the_database_are_told_first(redis_server: RedisServer, redis_client: "redis.Redis") -> None:
    redis_client.config_set("requirepass", "right")
    try:
        link = link_to(redis_server.host, redis_server.port, 3, "right")
        link.call("SET", "mine", 1)
        for password in ("", "wrong"):
            with pytest.raises(Fatal, match="REDIS_PASSWORD"):
                link_to(redis_server.host, redis_server.port, 0, password).call("PING")
    finally:
        link.call("CONFIG", "SET", "requirepass", "")
    assert redis_server.link().call("GET", "mine") is None
    assert link_to(redis_server.host, redis_server.port, 3).call("GET", "mine") == b"1"


def test_a_reply_of_many_megabytes_is_whole(redis_server: RedisServer, redis_client: "redis.Redis") -> None:
    body = bytes(range(256)) * 40_000
    link = redis_server.link()
    assert link.exchange([("SET", "large", body), ("GET", "large"), ("PING",)]) == [b"OK", body, b"PONG"]
