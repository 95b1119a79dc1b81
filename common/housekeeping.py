"""What a stage does beside its work, about once a second: trim what all have read, measure lag, respect budgets."""

from collections.abc import Iterable, Sequence
from typing import cast

from redis.exceptions import ResponseError

from common.entry_ids import EntryId, parse_id
from common.keys import BACKFILL, HISTORY, Stream
from common.redis_link import Link, Reply
from common.retirement import retired_stages

# Entries stay this long even when everybody has read them, so that an operator can look at what just went through.
KEEP_MS = 60_000
# Unless the stream is longer than this: then what everybody has read must not fill the memory, or the budget.
KEEP_ENTRIES = 10_000

# They flow against all other streams, back to who asked. A writer that held back for them would stop reading what the
# asker itself waits to write, and both would stand still for ever. The questions bound their size.
ANSWERS = (HISTORY, BACKFILL)

# Above every entry: all readers of the stream were retired.
NOBODY_LEFT: EntryId = (2**63 - 1, 0)


def trim_floor(link: Link, stream: Stream, partition: int) -> EntryId | None:
    """Return the oldest entry id that somebody may still need; None where a registered group does not exist yet.

    For each group: its lowest pending entry, else the entry after the last delivered one (never counted by lag). A
    group that does not exist because its stage was retired is not waited for.
    """
    key = stream.key(partition)
    groups = groups_of(link, key)
    missing = [reader for reader in stream.readers if reader not in groups]
    if missing and not set(missing) <= retired_stages(link, partition).keys():
        return None
    floors: list[EntryId] = []
    for reader in stream.readers:
        if reader in missing:
            continue
        last_delivered, pending = groups[reader]
        floors.append(_lowest_pending(link, key, reader) if pending else last_delivered)
    return min(floors, default=NOBODY_LEFT if missing else None)


def trim(link: Link, streams: Iterable[Stream], partition: int, budget_entries: int = 2 * KEEP_ENTRIES) -> None:
    """Delete what every registered group has acknowledged and what is older than KEEP_MS, or too much to be kept.

    Of a small budget half stays for what nobody has read: else looking back would hold the writers back.
    """
    most = min(KEEP_ENTRIES, budget_entries // 2)
    now = cast(list[bytes], link.call("TIME"))
    keep_from: EntryId = (int(now[0]) * 1000 - KEEP_MS, 0)
    for stream in streams:
        floor = trim_floor(link, stream, partition)
        if floor is not None:
            long = cast(int, link.call("XLEN", stream.key(partition))) > most
            ms, sequence = floor if long else min(floor, keep_from)
            link.call("XTRIM", stream.key(partition), "MINID", f"{max(ms, 0)}-{sequence}")


def lag_s(link: Link, streams: Sequence[Stream], partition: int, group: str) -> dict[str, float]:
    """Return per stream how far the group is behind: time of the newest entry less that of the last settled one."""
    lags: dict[str, float] = {}
    for stream in streams:
        key = stream.key(partition)
        groups = groups_of(link, key)
        if group not in groups:
            continue
        last_delivered, pending = groups[group]
        settled = _lowest_pending(link, key, group) if pending else last_delivered
        oldest, newest = _ends(link, key)
        # Of a group that has read nothing yet, and of what was trimmed, no more is known than the stream's beginning.
        lags[stream.name] = max(0, newest[0] - max(settled, oldest)[0]) / 1000 if newest > settled or pending else 0.0
    return lags


def _ends(link: Link, key: str) -> tuple[EntryId, EntryId]:
    ends = link.exchange([("XRANGE", key, "-", "+", "COUNT", 1), ("XREVRANGE", key, "+", "-", "COUNT", 1)])
    first, last = (parse_id(cast(bytes, cast(list[list[Reply]], end)[0][0])) if end else (0, 0) for end in ends)
    return first, last


def over_budget(link: Link, streams: Sequence[Stream], partition: int, budget_entries: int) -> list[str]:
    """Return the streams that hold more entries than the budget: their writer must hold back, nothing is deleted."""
    lengths = link.exchange([("XLEN", stream.key(partition)) for stream in streams])
    return [s.name for s, n in zip(streams, lengths, strict=True) if isinstance(n, int) and n >= budget_entries]


def groups_of(link: Link, key: str) -> dict[str, tuple[EntryId, int]]:
    """Return each group of a stream: its last delivered entry, and how many are pending."""
    reply = link.exchange([("XINFO", "GROUPS", key)])[0]
    if isinstance(reply, ResponseError):  # no such key yet
        return {}
    found: dict[str, tuple[EntryId, int]] = {}
    for group in cast(list[list[Reply]], reply or []):
        fields = {cast(bytes, k): v for k, v in zip(group[::2], group[1::2], strict=True)}
        name = cast(bytes, fields[b"name"]).decode()
        found[name] = (parse_id(cast(bytes, fields[b"last-delivered-id"])), cast(int, fields[b"pending"]))
    return found


def _lowest_pending(link: Link, key: str, group: str) -> EntryId:
    """Return the lowest pending id; (0, 0), which keeps everything, where there is none any more, or no group."""
    summary = link.exchange([("XPENDING", key, group)])[0]
    lowest = summary[1] if isinstance(summary, list) else None
    return parse_id(lowest) if isinstance(lowest, bytes) else (0, 0)
