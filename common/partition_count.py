"""How many partitions the data in Redis is spread over: the first process says so, and every later one must agree."""

from common import keys
from common.errors import Fatal
from common.redis_link import Link


def claim_partitions(link: Link, partitions: int) -> None:
    """Mark the database as spread over so many partitions. Fatal, with the way out, if it is over another number."""
    found = count_in(link, partitions)
    if found != partitions:
        raise Fatal(
            f"STREAM_PARTITIONS: expected {found}, over which the data in {link.where} is spread, found {partitions};"
            f" to spread it over {partitions}: `make stop`, then `make partitions N={partitions}`"
        )


def count_in(link: Link, otherwise: int) -> int:
    """Return the number that the database is marked with, which is `otherwise` from now on where there was no mark."""
    _, found = link.exchange([("SETNX", keys.PARTITION_COUNT, otherwise), ("GET", keys.PARTITION_COUNT)])
    if not isinstance(found, bytes) or not found.isdigit():
        raise Fatal(f"{link.where}: key {keys.PARTITION_COUNT}: expected a number, found {found!r}")
    return int(found)
