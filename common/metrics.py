"""Counters, gauges and histograms of one process. They travel to the api with its heartbeat, as a Snapshot."""

import math
import threading
from array import array
from bisect import bisect_left
from itertools import accumulate
from typing import Literal, NamedTuple

from msgspec import Struct

RING = 1_024
"""Values that a histogram's quantiles rest on: the newest."""
BUCKETS_S = (
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Upper ends of a histogram's buckets; the one to +Inf is its count."""


class Metric(NamedTuple):
    """What a metric is."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


# Every metric of every stage. Append; one line each. Names: md_, base units, counters end in _total.
METRICS: dict[str, Metric] = {
    "md_entries_total": Metric("counter", "Stream entries handled", ("stream",)),
    "md_batches_total": Metric("counter", "Batches committed"),
    "md_batch_seconds": Metric("histogram", "Handling and committing one batch"),
    "md_lag_seconds": Metric("gauge", "Stream time between the newest entry and the last settled one", ("stream",)),
    "md_dead_letters_total": Metric("counter", "Entries that could not be handled"),
    "md_retries_total": Metric("counter", "Batches tried again because something was away"),
    "md_reconnects_total": Metric("counter", "New connections to Redis after a lost one"),
    "md_stream_over_budget": Metric("gauge", "1 while a stream holds more entries than its budget", ("stream",)),
    "md_cycles_total": Metric("counter", "Collection cycles"),
    "md_cycle_seconds": Metric("histogram", "One collection cycle"),
    "md_cycle_overruns_total": Metric("counter", "Cycles that took longer than the interval"),
    "md_fetch_total": Metric("counter", "Vendor calls by what came of them", ("source", "verdict")),
    "md_fetch_seconds": Metric("histogram", "One vendor call", ("source",)),
    "md_data_points_total": Metric("counter", "Quotes published raw", ("symbol",)),
    "md_breaker_state": Metric("gauge", "0 closed, 1 half open, 2 open", ("source",)),
    "md_breaker_transitions_total": Metric("counter", "Changes of a breaker's state", ("source", "state")),
    "md_breaker_forced": Metric("gauge", "What an operator decided: 0 nothing, 1 closed, 2 open", ("source",)),
    "md_offline": Metric("gauge", "1 while we take our own network for offline"),
    "md_quota_remaining": Metric("gauge", "Credits left in a vendor's window", ("source", "window")),
    "md_quota_reserve": Metric("gauge", "Those of them that regular asking leaves", ("source", "window")),
    "md_quota_runs_out_seconds": Metric("gauge", "Until a window runs out; absent: it lasts", ("source", "window")),
    "md_quota_back_seconds": Metric("gauge", "Until a window that runs out is back", ("source", "window")),
    "md_push_frames_total": Metric("counter", "Frames that vendors pushed", ("source",)),
    "md_push_reconnects_total": Metric("counter", "Push connections opened after a lost one", ("source",)),
    "md_push_coalesced_total": Metric("counter", "Pushed quotes that gave way to newer ones", ("source",)),
    "md_push_connected": Metric("gauge", "Open push connections", ("source",)),
    "md_push_symbols": Metric("gauge", "Symbols that are pushed freshly", ("source",)),
    "md_series_own": Metric("gauge", "1 while a symbol's own class feeds its series", ("symbol",)),
    "md_series_changes_total": Metric("counter", "Series begun anew with another class", ("symbol", "why")),
    "md_terminal_ticks_known_total": Metric("counter", "Ticks of the terminal that were seen already"),
    "md_backfills_total": Metric("counter", "Backfill requests answered", ("source",)),
    "md_quotes_accepted_total": Metric("counter", "Quotes that can be trusted", ("symbol",)),
    "md_quotes_rejected_total": Metric("counter", "Quotes in quarantine", ("symbol", "reason")),
    "md_bars_rejected_total": Metric("counter", "Vendor bars in quarantine", ("symbol", "reason")),
    "md_late_quotes_total": Metric("counter", "Quotes that came after their 1 s bar closed", ("symbol",)),
    "md_source_difference_ratio": Metric(
        "gauge",
        "log(source / other) of two prices compared last",
        ("symbol", "source_class", "source", "other"),
    ),
    "md_source_disagrees": Metric(
        "gauge", "1 while two sources of one class disagree", ("symbol", "source_class", "source", "other")
    ),
    "md_bars_total": Metric("counter", "Final bars", ("timeframe",)),
    "md_features_total": Metric("counter", "Indicator values computed"),
    "md_feature_seconds": Metric("histogram", "One pass over a lane's indicators"),
    "md_pass_seconds": Metric("histogram", "One pass of the feature engine over what has changed"),
    "md_signals_total": Metric("counter", "Signals published", ("symbol",)),
    "md_signal_seconds": Metric("histogram", "One evaluation of the strategies"),
    "md_signal_withheld_total": Metric("counter", "Signals asked for and not given", ("reason",)),
    "md_live_clients": Metric("gauge", "Live clients that are connected", ("transport",)),
    "md_live_clients_dropped_total": Metric("counter", "Live clients that read too slowly", ("transport",)),
    "md_live_signals_total": Metric("counter", "Signals pushed to live clients", ("transport",)),
    "md_live_withheld_total": Metric("counter", "Published signals that a live client did not get", ("reason",)),
    "md_rollbacks_total": Metric("counter", "Times that Redis was found to know less than SQLite"),
    "md_rows_written_total": Metric("counter", "SQLite rows inserted or replaced", ("table",)),
    "md_write_seconds": Metric("histogram", "One SQLite transaction"),
    "md_gaps_open": Metric("gauge", "Gaps in the ledger that are not closed", ("symbol",)),
    "md_http_requests_total": Metric("counter", "Requests served", ("route", "status")),
    "md_http_request_seconds": Metric("histogram", "One request", ("route",)),
    "md_late_for_bars_total": Metric("counter", "Bars that a quote came too late for"),
    "md_forming_skipped_total": Metric("counter", "Quotes whose values of the open bar were skipped, under load"),
    "md_bars_unasked_total": Metric("counter", "Closed bars on which no strategy was asked", ("reason",)),
    "md_candidates_dropped_total": Metric("counter", "Candidates for signals that were not published", ("reason",)),
    "md_cache_hits_total": Metric("counter", "Reads answered from the bar cache"),
    "md_cache_misses_total": Metric("counter", "Reads that needed SQLite"),
}


class Sample(Struct, frozen=True):
    """One counter's or gauge's value."""

    name: str
    labels: dict[str, str]
    value: float


class Histogram(Struct, frozen=True):
    """One histogram. count, sum and buckets since the start; the rest over the newest RING values. In seconds."""

    name: str
    labels: dict[str, str]
    count: int
    sum: float
    min: float
    max: float
    mean: float
    p50: float
    p95: float
    p99: float
    buckets: tuple[int, ...]
    """Cumulative: values at most BUCKETS_S[i]."""


class Snapshot(Struct, frozen=True):
    """All metrics of a process at one moment."""

    counters: tuple[Sample, ...] = ()
    gauges: tuple[Sample, ...] = ()
    histograms: tuple[Histogram, ...] = ()


class Metrics:
    """The registry of one process; safe to use from its threads.

    A name or label that METRICS lacks, or a wrong kind, is a KeyError or ValueError: a bug, found by any test.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._lock = threading.Lock()
        self._counters: dict[_Key, float] = {}
        self._gauges: dict[_Key, float] = {}
        self._histograms: dict[_Key, _Observations] = {}

    def count(self, name: str, n: float = 1.0, **labels: str) -> None:
        """Add `n`, which is not negative."""
        key = _key(name, "counter", labels)
        if not 0 <= n < math.inf:
            raise ValueError(f"{name}: expected a finite increment of at least 0, found {n}")
        with self._lock:
            self._counters[key] = self._counters.get(key, 0.0) + n

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set the value. One that is not finite removes the series: it is not known now."""
        key = _key(name, "gauge", labels)
        with self._lock:
            if math.isfinite(value):
                self._gauges[key] = value
            else:
                self._gauges.pop(key, None)

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add one duration to a histogram."""
        key = _key(name, "histogram", labels)
        if not math.isfinite(seconds):
            raise ValueError(f"{name}: expected a finite number of seconds, found {seconds}")
        with self._lock:
            seen = self._histograms.get(key)
            if seen is None:
                seen = self._histograms[key] = _Observations()
            seen.add(seconds)

    def snapshot(self) -> Snapshot:
        """Return all series, in the order in which they first appeared."""
        with self._lock:
            return Snapshot(
                tuple(Sample(key[0], _labels(key), value) for key, value in self._counters.items()),
                tuple(Sample(key[0], _labels(key), value) for key, value in self._gauges.items()),
                tuple(seen.histogram(key[0], _labels(key)) for key, seen in self._histograms.items()),
            )


_Key = tuple[str, ...]  # the name, then the label values in the table's order


def _key(name: str, kind: str, labels: dict[str, str]) -> _Key:
    metric = METRICS[name]
    if metric.kind != kind or len(labels) != len(metric.labels):
        raise ValueError(f"{name}: expected a {metric.kind} with labels {metric.labels}, found a {kind} with {labels}")
    return (name, *[labels[label] for label in metric.labels])


def _labels(key: _Key) -> dict[str, str]:
    return dict(zip(METRICS[key[0]].labels, key[1:], strict=True))


class _Observations:
    """What a histogram has seen."""

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0
        self.per_bucket = [0] * (len(BUCKETS_S) + 1)
        self.ring = array("d")
        self.ready: Histogram | None = None  # sorting the ring costs 0.1 ms, and most series rest most of the time

    def add(self, seconds: float) -> None:
        if self.count < RING:
            self.ring.append(seconds)
        else:
            self.ring[self.count % RING] = seconds
        self.count += 1
        self.sum += seconds
        self.per_bucket[bisect_left(BUCKETS_S, seconds)] += 1
        self.ready = None

    def histogram(self, name: str, labels: dict[str, str]) -> Histogram:
        if self.ready is None:
            values = sorted(self.ring)
            self.ready = Histogram(
                name, labels, self.count, self.sum, values[0], values[-1], math.fsum(values) / len(values),
                _quantile(values, 50), _quantile(values, 95), _quantile(values, 99),
                tuple(accumulate(self.per_bucket[:-1])),
            )  # fmt: skip
        return self.ready


def _quantile(ascending: list[float], percent: int) -> float:
    """Return the smallest value that at least `percent` % of the values don't exceed (nearest rank)."""
    return ascending[max(0, -(-percent * len(ascending) // 100) - 1)]
