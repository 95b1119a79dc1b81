"""The operators' figures, derived from what the processes measured of themselves. What nobody measured is None."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from common.heartbeat import Pulse
from common.metrics import Histogram, Sample, Snapshot
from common.sources import SourceReport

RATE_OVER_MS = 60_000
RATE_KNOWN_MS = 5_000  # without a reading for so long, the rate is not known
DATA_POINTS = "md_data_points_total"

Figures = dict[str, float | None]


def total(snapshots: Iterable[Snapshot], name: str) -> float | None:
    """Return a counter's sum over all processes and labels; None if none of them has it."""
    values = [sample.value for snapshot in snapshots for sample in snapshot.counters if sample.name == name]
    return sum(values) if values else None


def counted(pulses: Iterable[Pulse], stage: str, name: str) -> float | None:
    """Return what a stage has counted: 0 before the first, None if the stage was never seen."""
    own = [pulse.metrics for pulse in pulses if pulse.stage == stage]
    return (total(own, name) or 0.0) if own else None


def p95_ms(snapshots: Iterable[Snapshot], name: str) -> float | None:
    """Return the worst process's 95th percentile of a histogram, in milliseconds."""
    found = [h.p95 for snapshot in snapshots for h in snapshot.histograms if h.name == name]
    return round(max(found) * 1000, 4) if found else None


def cache_hit_rate(snapshots: Sequence[Snapshot]) -> float | None:
    """Return the share of bar reads that the cache answered; None if there were none."""
    hits = total(snapshots, "md_cache_hits_total") or 0.0
    reads = hits + (total(snapshots, "md_cache_misses_total") or 0.0)
    return hits / reads if reads else None


def performance(pulses: Sequence[Pulse], points_per_second: float | None) -> Figures:
    """Return `.performance` of the health report."""
    snapshots = [pulse.metrics for pulse in pulses]
    return {
        "data_points_collected": counted(pulses, "collector", "md_data_points_total"),
        "data_points_per_second": points_per_second,
        "collection_latency_p95_ms": p95_ms(snapshots, "md_cycle_seconds"),
        "signal_latency_p95_ms": p95_ms(snapshots, "md_signal_seconds"),
        "features_computed": counted(pulses, "features", "md_features_total"),
        "signals_generated": counted(pulses, "features", "md_signals_total"),
    }


@dataclass
class Rate:
    """A counter's growth per second over the last minute."""

    _seen: deque[tuple[int, float]] = field(default_factory=deque)

    def note(self, at_ms: int, value: float | None) -> None:
        """Take up one reading. A value that fell (a process began again) starts anew."""
        if value is None or (self._seen and value < self._seen[-1][1]):
            self._seen.clear()
        if value is not None:
            self._seen.append((at_ms, value))
        while self._seen and at_ms - self._seen[0][0] > RATE_OVER_MS:
            self._seen.popleft()

    def per_second(self, now_ms: int) -> float | None:
        """None until there are two readings, and when none came lately."""
        if len(self._seen) < 2 or self._seen[-1][0] <= self._seen[0][0] or now_ms - self._seen[-1][0] > RATE_KNOWN_MS:
            return None
        (first_ms, first), (last_ms, last) = self._seen[0], self._seen[-1]
        return round((last - first) * 1000 / (last_ms - first_ms), 3)


# Operators' name -> the stage that counts it, and the metric.
_NAMED_COUNTERS = {
    "data_points_collected": ("collector", DATA_POINTS),
    "features_computed": ("features", "md_features_total"),
    "signals_generated": ("features", "md_signals_total"),
}
# The same for histograms; given in milliseconds because the name says latency or time.
_NAMED_HISTOGRAMS = {
    "collection_cycle_latency": ("collector", "md_cycle_seconds"),
    "signal_generation_latency": ("features", "md_signal_seconds"),
    "feature_computation_time": ("features", "md_feature_seconds"),
}


def metrics_json(
    pulses: Sequence[Pulse], reports: Mapping[str, SourceReport | None], freshness_s: Mapping[str, float | None]
) -> dict[str, dict[str, object]]:
    """Return `counters`, `gauges` and `histograms` of /metrics/json: the named figures, then every series as it is."""
    snapshots = [pulse.metrics for pulse in pulses]
    counters: dict[str, object] = {name: counted(pulses, *where) for name, where in _NAMED_COUNTERS.items()}
    for name, report in reports.items():
        counters[f"api_calls_{name}"] = report and report.total_calls
        counters[f"api_calls_{name}_success"] = report and report.success_calls
        counters[f"api_calls_{name}_failure"] = report and report.failed_calls
    gauges: dict[str, object] = {"cache_hit_rate": cache_hit_rate(snapshots)}
    gauges |= {f"data_freshness_{name}": age for name, age in freshness_s.items()}
    histograms: dict[str, object] = {name: _timed(pulses, *where) for name, where in _NAMED_HISTOGRAMS.items()}
    for pulse in pulses:
        counters |= {_series(pulse, sample): sample.value for sample in pulse.metrics.counters}
        gauges |= {_series(pulse, sample): sample.value for sample in pulse.metrics.gauges}
        histograms |= {_series(pulse, h): merged([h], 1) for h in pulse.metrics.histograms}
    return {"counters": counters, "gauges": gauges, "histograms": histograms}


def _timed(pulses: Iterable[Pulse], stage: str, name: str) -> Figures:
    """Return one summary of a stage's histogram, in milliseconds. A count of None: the stage was never seen."""
    own = [pulse.metrics for pulse in pulses if pulse.stage == stage]
    summary = merged([h for snapshot in own for h in snapshot.histograms if h.name == name], 1000)
    return summary if own else summary | {"count": None}


def merged(histograms: Sequence[Histogram], factor: float) -> Figures:
    """Return one summary of several processes' histograms: the worst of each quantile. None where nothing was seen."""
    count = sum(h.count for h in histograms)
    if not count:
        return {"count": 0.0, "min": None, "max": None, "mean": None, "p50": None, "p95": None, "p99": None}
    return {
        "count": float(count),
        "min": min(h.min for h in histograms) * factor,
        "max": max(h.max for h in histograms) * factor,
        "mean": sum(h.mean * h.count for h in histograms) / count * factor,
        "p50": max(h.p50 for h in histograms) * factor,
        "p95": max(h.p95 for h in histograms) * factor,
        "p99": max(h.p99 for h in histograms) * factor,
    }


def _series(pulse: Pulse, series: Sample | Histogram) -> str:
    labels = {"stage": pulse.stage, "instance": pulse.instance, **series.labels}
    return series.name + "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
