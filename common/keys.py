"""Every stream and key in Redis. Nothing else spells one.

A key of a partition carries the hash tag `{p}`, so that one transaction never crosses slots of a cluster. Keys that
belong to no partition begin with `md:`.
"""

import zlib
from dataclasses import dataclass

FIELD = b"m"
"""The one field of every entry."""


@dataclass(frozen=True)
class Stream:
    """A stream of every partition: who writes it, and which groups must have acknowledged before it is trimmed."""

    name: str
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    kinds: tuple[str, ...]
    """Message kinds, by their tag in common/messages/."""

    def key(self, partition: int) -> str:
        """Return the key of this stream in one partition."""
        return f"{{{partition}}}:{self.name}"


RAW = Stream("raw", ("collector",), ("validator",), ("raw_quotes", "raw_bars", "series_change", "clock"))
QUOTES = Stream("quotes", ("validator",), ("features", "storer"), ("quotes", "history_bars", "series_change", "clock"))
REJECTS = Stream("rejects", ("validator",), ("storer",), ("rejects",))
BARS = Stream("bars", ("features",), ("storer",), ("bars", "history_taken"))
SIGNALS = Stream("signals", ("features",), ("storer",), ("signal",))
HISTORY_REQUESTS = Stream("history_requests", ("features",), ("storer",), ("history_request",))
HISTORY = Stream("history", ("storer",), ("features",), ("history_bars",))
BACKFILL = Stream("backfill", ("storer",), ("collector",), ("backfill",))
TICKS = Stream("ticks", ("api",), ("collector",), ("terminal_ticks",))
SOURCE_EVENTS = Stream("source_events", ("collector",), ("storer",), ("source_event",))
EXECUTIONS = Stream("executions", ("api",), ("storer",), ("execution",))
EVENTS = Stream("events", ("api",), ("storer",), ("client_event",))

TRANSPORT: tuple[Stream, ...] = (
    RAW, QUOTES, REJECTS, BARS, SIGNALS, HISTORY_REQUESTS, HISTORY, BACKFILL, TICKS, SOURCE_EVENTS,
    EXECUTIONS, EVENTS,
)  # fmt: skip
BY_NAME: dict[str, Stream] = {stream.name: stream for stream in TRANSPORT}

STAGES: tuple[str, ...] = ("collector", "validator", "storer", "features", "api")


def partition_of(name: str, partitions: int) -> int:
    """Return the partition of a symbol (or of its partition group): stable over processes and releases."""
    return zlib.crc32(name.encode()) % partitions


def dead(partition: int, stage: str) -> str:
    """Stream of what a stage could not handle."""
    return f"{{{partition}}}:dead:{stage}"


def epoch(partition: int, stage: str) -> str:
    """Counter that fences a stage's instances: only the newest may commit."""
    return f"{{{partition}}}:epoch:{stage}"


def state(partition: int, stage: str) -> str:
    """Hash of what a stage committed with its batches."""
    return f"{{{partition}}}:state:{stage}"


def failures(partition: int, stage: str) -> str:
    """Hash: "stream entry-id" -> how often handling it alone failed."""
    return f"{{{partition}}}:failures:{stage}"


def recovered(partition: int, stage: str) -> str:
    """Set of local dead-letter files whose commands were issued again."""
    return f"{{{partition}}}:recovered:{stage}"


def retired(partition: int) -> str:
    """Hash: stage -> why nobody waits for its group any more, as JSON (common/retirement.py)."""
    return f"{{{partition}}}:retired"


def left(partition: int, stage: str) -> str:
    """Hash: stream -> how far a stage that was retired had come in it, as JSON (common/retirement.py)."""
    return f"{{{partition}}}:left:{stage}"


def incarnation(partition: int) -> str:
    """A random word, set once: another word means that Redis was flushed or replaced."""
    return f"{{{partition}}}:incarnation"


def clock(partition: int) -> str:
    """The newest Clock message of the collector, as JSON."""
    return f"{{{partition}}}:clock"


def feature_pass(partition: int) -> str:
    """Hash of the engine's last clock-confirmed pass: clock_ms, wall_ms, cycle."""
    return f"{{{partition}}}:pass:features"


def bar_cache(partition: int, symbol: str, timeframe: str) -> str:
    """Capped list of packed final bars, oldest first."""
    return f"{{{partition}}}:cache:bars:{symbol}:{timeframe}"


def feature_values(partition: int, symbol: str, timeframe: str) -> str:
    """Current values of one lane, as JSON."""
    return f"{{{partition}}}:features:{symbol}:{timeframe}"


def lane_heads(partition: int) -> str:
    """Hash: symbol -> how fresh its series is, and its newest price, packed (common/heads.py)."""
    return f"{{{partition}}}:heads"


def newest_signals(partition: int) -> str:
    """Hash: symbol -> its newest Signal, as JSON; gone a minute after it has expired."""
    return f"{{{partition}}}:newest_signals"


def symbol_status(partition: int) -> str:
    """Hash: symbol -> the collector's word on it, as JSON (source, class, withheld and why)."""
    return f"{{{partition}}}:status"


def terminal_ticks(partition: int, symbol: str) -> str:
    """Sorted set: the newest ticks of the client's terminal, by market time, to tell a repetition."""
    return f"{{{partition}}}:ticks:{symbol}"


def breaker(source: str) -> str:
    """Hash of one source's circuit breaker."""
    return f"md:breaker:{source}"


def quota(source: str) -> str:
    """Hash of one source's usage per window."""
    return f"md:quota:{source}"


def source_report(source: str) -> str:
    """One source's figures (calls, latencies, per-symbol quality), as JSON, written by the collector every second."""
    return f"md:source:{source}"


def heartbeat(stage: str, instance: str) -> str:
    """One process's heartbeat and metrics, as JSON, written by its own loop every second."""
    return f"md:heartbeat:{stage}:{instance}"


HEARTBEATS = "md:heartbeat:*"

ACCOUNT = "md:account"
"""What the account has done so far, as JSON, written by the api: its limits outlive its files."""

KIND_OF_RUN = "md:kind_of_run"
"""Whose data this database holds: "live" or "simulated", set by the collector's first start."""

PARTITION_COUNT = "md:partitions"
"""Over how many partitions this database is spread: set by the first process, changed by `make partitions`."""
