"""What this host's collectors have spent, in files beside the data: from them a lost counter in Redis is rebuilt.

One small file per collector, replaced before each call that costs something. It survives what Redis does not: a flush,
another server. Written without fsync: it outlives the death of the process, and at a power loss Redis' own append-only
file is the better witness.
"""

from pathlib import Path

import msgspec

from collector.limits import Plan, Purpose, counted
from collector.quota import Quota

Spending = dict[str, dict[str, int]]
"""Source -> field of the quota hash -> credits."""

_decoder = msgspec.json.Decoder(Spending)


class UsageFile:
    """One collector's own spending."""

    def __init__(self, folder: Path, instance: str) -> None:
        self._folder = folder
        self._path = folder / f"usage-{instance}.json"
        self._spending = _read(self._path) or {}

    def any_yet(self) -> bool:
        """Return whether a collector has ever kept a file here."""
        return any(self._folder.glob("usage-*.json"))

    def known(self, source: str) -> dict[str, int] | None:
        """Return what all collectors of this host have spent at `source`: hash field -> credits.

        None: a file can't be read, so nobody knows.
        """
        total: dict[str, int] = {}
        for path in self._folder.glob("usage-*.json"):
            spending = _read(path)
            if spending is None:
                return None
            for name, spent in spending.get(source, {}).items():
                total[name] = total.get(name, 0) + spent
        return total

    def note(self, quota: Quota, cost: int, now_ms: int, purpose: Purpose = Purpose.REGULAR) -> None:
        """Add one call's credits, and forget what no window counts any more."""
        plan = quota.plan
        spent = {name: n for name, n in self._spending.get(plan.vendor, {}).items() if _counts(plan, name, now_ms)}
        for name, n in quota.buckets(cost, now_ms, purpose).items():
            spent[name] = spent.get(name, 0) + n
        self._spending[plan.vendor] = spent
        self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(self._spending))
        beside.replace(self._path)


def _counts(plan: Plan, name: str, now_ms: int) -> bool:
    _, window_name, start = name.split(":")
    for window in plan.windows:
        if window.name == window_name:
            span = counted(window, now_ms)
            return span.oldest_ms <= int(start) <= span.newest_ms
    return False


def _read(path: Path) -> Spending | None:
    try:
        return _decoder.decode(path.read_bytes())
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError:
        return None


def starting_usage(quota: Quota, usage: UsageFile, *, first_start: bool, now_ms: int) -> tuple[dict[str, int], str]:
    """Return the usage that a counter without a hash begins with, and why, as a slug.

    "rebuilt": from this host's files. "first_start": no collector ever ran on this Redis nor on this host, so nothing
    is spent. "spent": Redis lost it, and no file says how much was used: all of it, until the windows have passed.
    """
    known = usage.known(quota.plan.vendor)
    if known is not None and usage.any_yet():
        return known, "rebuilt"
    if known is not None and first_start:
        return {}, "first_start"
    return quota.spent(now_ms), "spent"
