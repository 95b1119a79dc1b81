"""A database in Redis holds what real vendors said or what simulated ones said, never both."""

from common import keys
from common.errors import Fatal
from common.redis_link import Link


def claim(link: Link, *, simulated: bool) -> None:
    """Mark the database as this kind of run's. Fatal if it is the other kind's: prices of both would mix."""
    ours = b"simulated" if simulated else b"live"
    _, found = link.exchange([("SETNX", keys.KIND_OF_RUN, ours), ("GET", keys.KIND_OF_RUN)])
    if isinstance(found, bytes) and found != ours:
        raise Fatal(
            f"REDIS_DB: {link.where} holds the data of a {found.decode()} run, and this is a {ours.decode()} one: "
            "name another database, or empty that one"
        )
