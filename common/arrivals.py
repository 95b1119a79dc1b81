"""Wait for the first entry of any stream of several partitions.

A blocking read is by one partition's group, and while it waits the others' entries lie. This waits for all at once, and
only looks: what has arrived is then read by the partition that it belongs to.
"""

from collections.abc import Sequence
from typing import cast

from common.entry_ids import parse_id
from common.reader import Reader
from common.redis_link import Link, Reply


class Arrivals:
    """What the readers of one process have not seen yet."""

    def __init__(self, link: Link, readers: Sequence[Reader]) -> None:
        self._link, self._readers = link, readers
        self._seen: dict[bytes, bytes] = {}

    def wait(self, block_ms: int) -> bool:
        """Return whether something is there that came after what the readers have read: as soon as that is so.

        An entry wakes once, read or not: some are another instance's.
        """
        positions = self._positions()
        reply = self._link.call(
            "XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", *positions.keys(), *positions.values()
        )
        for key, entries in cast(list[list[Reply]], reply or []):
            self._seen[cast(bytes, key)] = cast(list[list[bytes]], entries)[-1][0]
        return reply is not None

    def _positions(self) -> dict[bytes, bytes]:
        newest = {key: last for reader in self._readers for key, last in reader.newest.items()}
        return {key: max(last, self._seen.get(key, last), key=parse_id) for key, last in newest.items()}
