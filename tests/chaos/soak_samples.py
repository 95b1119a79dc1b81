"""What a soak looks at: memory and file descriptors of each process, SQLite's log, Redis' memory, the streams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import redis

from common import keys
from common.messages import Clock, decode
from tests.pipeline.harness import Pipeline

MEGABYTE = 1_000_000
TENTHS = 10


@dataclass(frozen=True)
class Sample:
    """All figures at one moment, by name; units in the names."""

    cycle: int
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Soak:
    """What a run came to."""

    cycles: int
    took_s: float
    faults: int
    kills: int
    lost_cycles: int
    quotes: int
    dead_letters: int
    table: Mapping[str, Sequence[float]]
    """Figure -> its median in each tenth of the run."""


def sample(pipeline: Pipeline, client: "redis.Redis") -> Sample:
    """Look once. A process that is just being started anew is left out."""
    figures: dict[str, float] = {}
    pids = {name: process.pid for name, process in pipeline.processes.items()} | {"valkey": pipeline.redis.process.pid}
    for name, pid in pids.items():
        figures |= _process(name, pid)
    figures["database log, MB"] = _size(pipeline.database.with_name(pipeline.database.name + "-wal")) / MEGABYTE
    figures["database, MB"] = _size(pipeline.database) / MEGABYTE
    memory = client.info("memory")
    figures["valkey used, MB"] = memory["used_memory"] / MEGABYTE
    return Sample(newest_cycle(client), figures | _streams(client))


def newest_cycle(client: "redis.Redis") -> int:
    """Return the collector's newest committed cycle; 0 before the first."""
    raw = client.get(keys.clock(0))
    message = decode(raw) if isinstance(raw, bytes) else None
    return message.cycle if isinstance(message, Clock) else 0


def _process(name: str, pid: int) -> dict[str, float]:
    try:
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return {}
    if "VmRSS" not in lines:  # it has ended
        return {}
    return {f"{name}, MB": int(lines["VmRSS"].split()[0]) * 1024 / MEGABYTE, f"{name}, fds": descriptors}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _streams(client: "redis.Redis") -> dict[str, float]:
    entries = pending = 0
    for stream in keys.TRANSPORT:
        key = stream.key(0)
        if client.exists(key):
            entries += client.xlen(key)
            pending += sum(group["pending"] for group in client.xinfo_groups(key))
    return {"entries in streams": entries, "pending entries": pending, "keys": client.dbsize()}


def tenths(samples: Sequence[Sample], first_cycle: int, cycles: int) -> dict[str, list[float]]:
    """Return each figure's median in each tenth of so many cycles after the first one; NaN where there is none."""
    cells: dict[str, list[list[float]]] = {}
    for one in samples:
        tenth = min(TENTHS - 1, max(0, (one.cycle - first_cycle - 1) * TENTHS // cycles))
        for name, value in one.figures.items():
            cells.setdefault(name, [[] for _ in range(TENTHS)])[tenth].append(value)
    return {name: [median(values) if values else float("nan") for values in row] for name, row in cells.items()}
