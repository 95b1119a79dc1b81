"""GET /metrics: the metrics of all processes in Prometheus' text format, with the labels `stage` and `instance`."""

from collections.abc import Iterable, Mapping

from common.heartbeat import Pulse
from common.metrics import BUCKETS_S, METRICS, Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UP_WITHIN_MS = 5_000  # a heartbeat older than this is no sign of life

_OF_PROCESSES = {
    "md_up": "1 while the process's heartbeat is at most 5 s old",
    "md_heartbeat_age_seconds": "Real time since the process's last heartbeat",
}
_FRESHNESS = ("md_data_freshness_seconds", "Stream time since the symbol's market last moved, as far as we know")


def exposition(pulses: Iterable[Pulse], freshness_s: Mapping[str, float | None], wall_ms: int) -> str:
    """Return the text. A metric of another release, which METRICS lacks, is left out."""
    found = list(pulses)
    lines: list[str] = []
    for name, text in _OF_PROCESSES.items():
        lines += _head(name, "gauge", text)
        lines += [f"{name}{_labels(_process(pulse))} {_liveness(name, wall_ms - pulse.wall_ms)}" for pulse in found]
    lines += _head(_FRESHNESS[0], "gauge", _FRESHNESS[1])
    known = ((symbol, age) for symbol, age in freshness_s.items() if age is not None)
    lines += [f"{_FRESHNESS[0]}{_labels({'symbol': symbol})} {_number(age)}" for symbol, age in known]
    series = _collect(found)
    for name, metric in METRICS.items():
        if name in series:
            lines += _head(name, metric.kind, metric.help) + series[name]
    return "\n".join(lines) + "\n"


def _collect(pulses: Iterable[Pulse]) -> dict[str, list[str]]:
    series: dict[str, list[str]] = {}
    for pulse in pulses:
        own = _process(pulse)
        for sample in (*pulse.metrics.counters, *pulse.metrics.gauges):
            line = f"{sample.name}{_labels(own | sample.labels)} {_number(sample.value)}"
            series.setdefault(sample.name, []).append(line)
        for histogram in pulse.metrics.histograms:
            series.setdefault(histogram.name, []).extend(_histogram(histogram, own | histogram.labels))
    return series


def _process(pulse: Pulse) -> dict[str, str]:
    return {"stage": pulse.stage, "instance": pulse.instance}


def _histogram(histogram: Histogram, labels: dict[str, str]) -> list[str]:
    name = histogram.name
    buckets = [*zip((_number(end) for end in BUCKETS_S), histogram.buckets, strict=False), ("+Inf", histogram.count)]
    return [
        *(f"{name}_bucket{_labels(labels | {'le': end})} {count}" for end, count in buckets),
        f"{name}_sum{_labels(labels)} {_number(histogram.sum)}",
        f"{name}_count{_labels(labels)} {histogram.count}",
    ]


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _liveness(name: str, age_ms: int) -> str:
    return ("1" if abs(age_ms) <= UP_WITHIN_MS else "0") if name == "md_up" else _number(max(0, age_ms) / 1000)


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return repr(float(value))
