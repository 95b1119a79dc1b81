"""Long lists of records of one size, each as one bytearray: an object for each record takes longer than its use.

The replies are read off the connection's socket as they stand in RESP2 (https://valkey.io/topics/protocol), where such
a list has a fixed step: `*count`, and then for each item `$size`, the item, and the end of its line. The next lists are
on their way while one is worked on.
"""

import socket
from collections import deque
from collections.abc import Iterator, Sequence
from typing import cast

import hiredis
import numpy as np

from common.errors import Fatal
from common.redis_link import Link

AHEAD = 8  # lists that Redis has been asked for and that nobody took yet: they lie in its memory
READ_BYTES = 1 << 20
_CRLF = b"\r\n"


class _Uneven(Exception):
    """The reply is no list of records of the one size."""


def packed_lists(link: Link, names: Sequence[str], last: int, size: int) -> Iterator[bytearray]:
    """Yield the last items of each list, joined. size: of an item, in bytes.

    A list whose items have another size comes as well, in its own time. Fatal if a key holds no list. RedisAway.
    """
    waiting = deque(names)
    while waiting:
        for joined in _at_one_go(link, tuple(waiting), last, size):
            waiting.popleft()
            yield joined
        if waiting:
            yield _item_by_item(link, waiting.popleft(), last)


def _item_by_item(link: Link, name: str, last: int) -> bytearray:
    reply = link.exchange([("LRANGE", name, -last, -1)])[0]
    if not isinstance(reply, list):
        raise Fatal(f"{name}: expected a list, found {reply!s}")
    return bytearray().join(cast(list[bytes], reply))


def _at_one_go(link: Link, names: Sequence[str], last: int, size: int) -> Iterator[bytearray]:
    """Yield the lists up to the first that can't be had so; what is wrong with that one, the usual way tells."""
    connected = link.raw_socket()
    if connected is None:
        return
    replies, asked, taken = _Replies(connected, size), 0, 0
    try:
        while taken < len(names):
            if asked - taken <= AHEAD // 2 and asked < len(names):
                more = names[asked : taken + AHEAD]
                connected.sendall(b"".join(_command(name, last) for name in more))
                asked += len(more)
            joined = replies.take()
            taken += 1
            yield joined
    except (OSError, _Uneven):
        return
    finally:
        if taken < len(names):
            link.close()  # what is left of the replies must never be read as the answer to another question


def _command(name: str, last: int) -> bytes:
    return cast(bytes, hiredis.pack_command(("LRANGE", name, -last, -1)))  # type: ignore[arg-type]  # any length


class _Replies:
    """What comes out of a socket."""

    def __init__(self, connected: socket.socket, size: int) -> None:
        head = b"$%d\r\n" % size
        self._socket, self._head, self._step = connected, head, len(head) + size + len(_CRLF)
        self._held = bytearray(READ_BYTES)
        self._body = bytearray()
        self._from = self._to = 0
        """Of what is held, that which nobody took yet."""

    def take(self) -> bytearray:
        """Return the next list's items, joined. _Uneven if it is none, or of other items. OSError."""
        count = self._count()
        if not count:
            return bytearray()
        if self._line_length(self._head) != len(self._head):  # or more would be waited for than ever comes
            raise _Uneven
        rows = np.frombuffer(self._exactly(count * self._step), np.uint8).reshape(count, self._step)
        first, last = len(self._head), self._step - len(_CRLF)
        around = {**dict(enumerate(self._head)), **dict(enumerate(_CRLF, last))}
        if not all((rows[:, place] == byte).all() for place, byte in around.items()):
            raise _Uneven
        joined = bytearray(count * (last - first))
        np.frombuffer(joined, np.uint8).reshape(count, last - first)[:] = rows[:, first:last]
        return joined

    def _count(self) -> int:
        length = self._line_length(b"*")
        line = bytes(self._held[self._from + 1 : self._from + length])
        self._from += length
        if not line.strip().isdigit():
            raise _Uneven
        return int(line)

    def _line_length(self, begins: bytes) -> int:
        """Return the length of the next line, with its end; it stays where it is. _Uneven if it begins otherwise."""
        while (end := self._held.find(_CRLF, self._from, self._to)) < 0:
            self._read_more()
        if not self._held.startswith(begins, self._from, end + len(_CRLF)):
            raise _Uneven
        return end + len(_CRLF) - self._from

    def _read_more(self) -> None:
        """Read what has come behind what is held."""
        rest = self._held[self._from : self._to]
        self._held[: len(rest)] = rest
        self._from, self._to = 0, len(rest)
        self._to += self._received(memoryview(self._held)[self._to :])

    def _exactly(self, length: int) -> memoryview:
        """Return the next bytes, so many; they hold until the next call."""
        if length > len(self._body):
            self._body = bytearray(length)  # kept: to have fresh memory for each list takes longer than to fill it
        found = memoryview(self._body)[:length]
        there = min(length, self._to - self._from)
        found[:there] = memoryview(self._held)[self._from : self._from + there]
        self._from += there
        while there < length:
            there += self._received(found[there:])
        return found

    def _received(self, room: memoryview) -> int:
        count = self._socket.recv_into(room)
        if not count:
            raise ConnectionError("the connection was closed")
        return count
