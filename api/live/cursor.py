"""How far a client has read the streams of signals, in one word that it can give back."""

import re

from api.errors import invalid
from common.entry_ids import EntryId

Cursor = tuple[EntryId, ...]
"""The last entry read, for each partition."""

_ID = re.compile(r"([0-9]{1,15})(?:-([0-9]{1,9}))?", re.ASCII)


def cursor_text(cursor: Cursor) -> str:
    """Return the cursor as clients see it: with one partition, the entry's id in Redis."""
    return ".".join(id_text(entry_id) for entry_id in cursor)


def id_text(entry_id: EntryId) -> str:
    """Return an entry's id as Redis writes it."""
    return f"{entry_id[0]}-{entry_id[1]}"


def parse_cursor(text: str, partitions: int) -> Cursor:
    """Return the cursor that a client gave back, or one for the epoch milliseconds that it named. ApiError 422.

    One of another number of partitions begins at the oldest of its places: better too early than too late.
    """
    found = [_ID.fullmatch(word) for word in text.split(".")]
    if None in found or len(text) > 1_000:
        raise invalid("since is no place in the stream", "the id of an event, or epoch milliseconds", text)
    ids = tuple((int(match[1]), int(match[2] or 0)) for match in found if match is not None)
    return ids if len(ids) == partitions else (min(ids),) * partitions
