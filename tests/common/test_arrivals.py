"""One wait for all partitions of a process: it ends with the first entry, and each entry ends it once."""

import threading

from common.arrivals import Arrivals
from common.fence import Fence
from common.keys import FIELD, QUOTES, RAW
from common.reader import Reader
from common.redis_link import Link
from tests.common.conftest import LinkFactory

SHORT_MS, LONG_MS = 10, 60_000


def readers(link: Link, partitions: int = 3) -> list[Reader]:
    """Readers of two streams in each partition, none of which has read anything."""
    found = []
    for partition in range(partitions):
        fence = Fence(link, partition, "relay")
        fence.take()
        found.append(Reader(link, fence, (RAW, QUOTES), partition, "relay", "relay"))
        found[-1].create_groups()
    return found


def add(link: Link, key: str) -> None:
    link.call("XADD", key, "*", FIELD, b"{}")


def test_nothing_ends_the_wait_but_its_time(link: Link, new_link: LinkFactory) -> None:
    assert not Arrivals(new_link(), readers(link)).wait(SHORT_MS)


def test_an_entry_of_any_partition_ends_it_at_once(link: Link, new_link: LinkFactory) -> None:
    for key in (RAW.key(0), QUOTES.key(2)):
        arrivals = Arrivals(new_link(), readers(link))
        timer = threading.Timer(0.05, add, (new_link(), key))
        timer.start()
        assert arrivals.wait(LONG_MS)  # the test's own deadline is two minutes
        timer.join()


def test_what_came_before_the_wait_ends_it(link: Link, new_link: LinkFactory) -> None:
    arrivals = Arrivals(new_link(), readers(link))
    add(link, RAW.key(1))
    assert arrivals.wait(LONG_MS)


def test_an_entry_that_nobody_here_reads_ends_it_only_once(link: Link, new_link: LinkFactory) -> None:
    arrivals = Arrivals(new_link(), readers(link))
    add(link, RAW.key(1))
    assert arrivals.wait(LONG_MS)
    assert not arrivals.wait(SHORT_MS)


def test_what_a_reader_has_read_does_not_end_it(link: Link, new_link: LinkFactory) -> None:
    known = readers(link)
    arrivals = Arrivals(new_link(), known)
    for _ in range(5):
        add(link, RAW.key(1))
    known[1].news(10, 0)
    assert not arrivals.wait(SHORT_MS)


def test_entries_from_before_the_start_are_left_to_the_readers(link: Link, new_link: LinkFactory) -> None:
    add(link, RAW.key(0))
    assert not Arrivals(new_link(), readers(link)).wait(SHORT_MS)
