"""The metrics of one process."""

import statistics

import msgspec
import pytest

from common.metrics import BUCKETS_S, METRICS, RING, Histogram, Metrics, Sample, Snapshot


def histogram(values: list[float]) -> Histogram:
    metrics = Metrics("test")
    for value in values:
        metrics.observe("md_batch_seconds", value)
    return metrics.snapshot().histograms[0]


def test_names_follow_the_convention() -> None:
    for name, metric in METRICS.items():
        assert name.startswith("md_"), name
        assert name.endswith("_total") == (metric.kind == "counter"), name
        assert name.endswith("_seconds") or metric.kind != "histogram", name
        assert metric.help, name


def test_counters_and_gauges_are_kept_per_labels() -> None:
    metrics = Metrics("test")
    metrics.count("md_quotes_rejected_total", symbol="EURUSD", reason="stale")
    metrics.count("md_quotes_rejected_total", 2, reason="stale", symbol="EURUSD")
    metrics.count("md_quotes_rejected_total", symbol="EURUSD", reason="spike")
    metrics.gauge("md_lag_seconds", 3.0, stream="raw")
    metrics.gauge("md_lag_seconds", 0.5, stream="raw")
    assert metrics.snapshot() == Snapshot(
        counters=(
            Sample("md_quotes_rejected_total", {"symbol": "EURUSD", "reason": "stale"}, 3.0),
            Sample("md_quotes_rejected_total", {"symbol": "EURUSD", "reason": "spike"}, 1.0),
        ),
        gauges=(Sample("md_lag_seconds", {"stream": "raw"}, 0.5),),
    )


def test_gauge_that_is_not_known_disappears() -> None:
    metrics = Metrics("test")
    metrics.gauge("md_lag_seconds", 3.0, stream="raw")
    metrics.gauge("md_lag_seconds", float("nan"), stream="raw")
    assert metrics.snapshot().gauges == ()


def test_unknown_name_label_or_kind_is_an_error() -> None:
    metrics = Metrics("test")
    with pytest.raises(KeyError):
        metrics.count("md_surprises_total")
    with pytest.raises(KeyError):
        metrics.count("md_entries_total", table="raw")
    with pytest.raises(ValueError, match="md_entries_total"):
        metrics.count("md_entries_total")
    with pytest.raises(ValueError, match="md_batches_total"):
        metrics.count("md_batches_total", stream="raw")
    with pytest.raises(ValueError, match="expected a histogram"):
        metrics.count("md_batch_seconds")


@pytest.mark.parametrize("n", [-1.0, float("nan"), float("inf")])
def test_counter_only_grows(n: float) -> None:
    with pytest.raises(ValueError, match="finite increment"):
        Metrics("test").count("md_batches_total", n)


def test_histogram_describes_its_values() -> None:
    # 1 ms to 100 ms: by nearest rank the p-th percentile of 1..100 is p.
    found = histogram([n / 1000 for n in range(100, 0, -1)])
    assert (found.count, found.min, found.max) == (100, 0.001, 0.1)
    assert (found.p50, found.p95, found.p99) == (0.05, 0.095, 0.099)
    assert found.sum == pytest.approx(5.05)
    assert found.mean == pytest.approx(statistics.fmean(n / 1000 for n in range(1, 101)))
    at_most = dict(zip(BUCKETS_S, found.buckets, strict=True))
    assert (at_most[0.000_5], at_most[0.001], at_most[0.01], at_most[0.1], at_most[30.0]) == (0, 1, 10, 100, 100)


def test_quantiles_forget_what_is_older_than_the_ring_but_counts_do_not() -> None:
    found = histogram([20.0] * 10 + [0.5] * RING)
    assert (found.count, found.max, found.p99) == (RING + 10, 0.5, 0.5)
    assert found.sum == 10 * 20.0 + RING * 0.5
    assert found.buckets[-1] == RING + 10


def test_single_value_is_every_quantile_and_beyond_the_last_bucket_is_only_counted() -> None:
    found = histogram([99.0])
    assert (found.min, found.p50, found.p99, found.max, found.count) == (99.0, 99.0, 99.0, 99.0, 1)
    assert found.buckets == (0,) * len(BUCKETS_S)


def test_snapshot_survives_json_and_later_values_do_not_change_it() -> None:
    metrics = Metrics("test")
    metrics.observe("md_fetch_seconds", 0.25, source="a")
    first = metrics.snapshot()
    body = msgspec.json.encode(first)
    metrics.observe("md_fetch_seconds", 0.75, source="a")
    assert msgspec.json.decode(body, type=Snapshot) == first
    assert metrics.snapshot().histograms[0].count == 2
