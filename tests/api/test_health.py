"""/health, /readyz, /metrics and /metrics/json: the operators' paths, and that unknown is never called healthy."""

import math
from pathlib import Path
from typing import TypedDict

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.context import Context
from api.operator_metrics import Rate
from common import keys
from common.heartbeat import Heartbeat
from common.metrics import METRICS, Metrics
from common.sources import QuotaWindow, SourceReport, encode_report
from tests.api.history import write_clock
from tests.api.test_posts import FILL
from tests.api.world import NOON_MS, SYMBOLS, World, serving

Api = tuple[httpx.AsyncClient, Context]
NEVER_IN_NAMES = {"counter", "gauge", "histogram", "ms", "milliseconds", "minutes", "hours", "kb"}
STAGES = ("collector", "validator", "storer", "features")


class Report(TypedDict):
    """The parts of the health report that scripts read."""

    status: str
    components: dict[str, dict[str, object]]
    performance: dict[str, object]
    data_sources: dict[str, dict[str, object]]


def metrics_of(stage: str) -> Metrics:
    """Return what a stage may have measured."""
    metrics = Metrics(stage)
    if stage == "collector":
        metrics.count("md_data_points_total", 90, symbol="EURUSD")
        metrics.count("md_data_points_total", 30, symbol='odd"\\name\n')
        for seconds in (0.010, 0.020, 0.030, 0.400):
            metrics.observe("md_cycle_seconds", seconds)
        metrics.gauge("md_quota_remaining", 5, source="alphavantage", window="day")
    if stage == "features":
        metrics.count("md_features_total", 1234)
        metrics.count("md_signals_total", 3, symbol="EURUSD")
        metrics.observe("md_signal_seconds", 0.002)
        metrics.observe("md_feature_seconds", 0.0001)
    return metrics


def beat(world: World, stage: str, age_ms: int = 0, status: str = "ok", metrics: Metrics | None = None) -> None:
    """Write a stage's heartbeat."""

    def store(key: str, value: bytes) -> None:
        world.redis.set(key, value)

    message = "" if status == "ok" else "why"
    Heartbeat(store, stage, stage, metrics or metrics_of(stage)).beat(world.wall.ms - age_ms, status, message)


def working(world: World) -> None:
    """Write the state of a pipeline of which every part works."""
    world.alive(*SYMBOLS)
    for stage in STAGES:
        beat(world, stage)
    write_clock(world.settings.database_path, world.wall.ms - 5_000)


async def health(client: httpx.AsyncClient) -> Report:
    reply = await client.get("/health")
    assert reply.status_code == 200
    found: Report = reply.json()
    return found


async def test_a_working_pipeline_is_healthy_and_ready(world: World, api: Api) -> None:
    working(world)
    found = await health(api[0])
    assert found["status"] == "healthy"
    assert {name: part["status"] for name, part in found["components"].items()} == {
        "redis": "healthy", "database": "healthy", "gaps": "healthy", "mt5": "not_configured",
        "data_pipeline": "healthy",
        "collector": "healthy", "validator": "healthy", "storer": "healthy", "features": "healthy", "api": "healthy",
    }  # fmt: skip
    assert found["performance"] == {
        "data_points_collected": 120.0, "data_points_per_second": None, "collection_latency_p95_ms": 400.0,
        "signal_latency_p95_ms": 2.0, "features_computed": 1234.0, "signals_generated": 3.0,
    }  # fmt: skip
    freshness = found["components"]["data_pipeline"]["data_freshness_seconds"]
    assert freshness == {**dict.fromkeys(SYMBOLS, 0.2), "max": 0.2}
    ready = await api[0].get("/readyz")
    assert (ready.status_code, ready.json()["reasons"]) == (200, [])


async def test_before_anything_ever_ran_nothing_is_healthy_and_what_is_unknown_is_null(world: World, api: Api) -> None:
    found = await health(api[0])
    assert found["status"] == "unhealthy"
    for name in ("database", "data_pipeline", *STAGES):
        assert found["components"][name]["status"] == "unhealthy", name
    assert found["components"]["data_pipeline"]["data_freshness_seconds"] == {**dict.fromkeys(SYMBOLS), "max": None}
    assert set(found["performance"].values()) == {None}
    source = found["data_sources"]["yahoo"]
    assert {source[key] for key in ("total_calls", "success_rate", "latency_p95_ms", "is_healthy")} == {None}
    ready = await api[0].get("/readyz")
    assert ready.status_code == 503
    assert "data_pipeline: never collected: there is no clock entry" in ready.json()["reasons"]


@pytest.mark.parametrize(("age_ms", "status"), [(3_000, "degraded"), (3_001, "unhealthy"), (5_001, "unhealthy")])
async def test_a_stopped_collector_shows_within_five_seconds(world: World, api: Api, age_ms: int, status: str) -> None:
    working(world)
    world.wall.ms += age_ms
    found = await health(api[0])
    assert found["status"] == status
    # At 3,000 ms only the engine's pass is too old (2 s); a heartbeat is too old after 5 s.
    assert (found["components"]["collector"]["status"] == "unhealthy") == (age_ms > 5_000)
    assert (await api[0].get("/readyz")).status_code == 503


async def test_open_and_silent_is_not_healthy_and_closed_is_not_stale(world: World, api: Api) -> None:
    working(world)
    world.lane("EURUSD", age_ms=31_000)
    found = await health(api[0])
    assert (found["status"], found["components"]["data_pipeline"]["silent_symbols"]) == ("degraded", ["EURUSD"])
    world.wall.ms += 3 * 86_400_000  # Saturday
    world.clock()
    world.engine()
    for stage in STAGES:
        beat(world, stage)
    found = await health(api[0])
    assert found["components"]["data_pipeline"]["status"] == "healthy"
    assert found["components"]["data_pipeline"]["message"] == "every session is closed"


async def test_closed_markets_without_any_price_yet_are_not_ready(world: World, api: Api) -> None:
    world.wall.ms += 3 * 86_400_000  # Saturday
    world.clock()
    world.engine()
    for stage in STAGES:
        beat(world, stage)
    ready = await api[0].get("/readyz")
    assert ready.status_code == 503
    assert "never collected" in ready.text
    assert (await health(api[0]))["components"]["data_pipeline"]["status"] == "unhealthy"


async def test_a_delayed_class_may_be_late_by_its_delay(world: World, api: Api) -> None:
    working(world)
    world.lane("NAS100", age_ms=629_000, delay_ms=600_000)
    assert (await health(api[0]))["status"] == "healthy"
    world.lane("NAS100", age_ms=631_000, delay_ms=600_000)
    assert (await health(api[0]))["components"]["data_pipeline"]["silent_symbols"] == ["NAS100"]


async def test_a_stage_that_calls_itself_degraded_makes_the_whole_degraded(world: World, api: Api) -> None:
    working(world)
    beat(world, "storer", status="degraded")
    found = await health(api[0])
    assert (found["status"], found["components"]["storer"]["message"]) == ("degraded", "storer: why")


async def test_a_client_is_connected_while_it_polls_and_then_silent(world: World, api: Api) -> None:
    working(world)
    await api[0].get("/api/signals?equity=1234.50")
    found = (await health(api[0]))["components"]["mt5"]
    assert (found["status"], found["equity"]) == ("connected", 1234.5)
    world.wall.ms += 61_000
    assert (await health(api[0]))["components"]["mt5"]["status"] == "silent"


async def test_a_client_that_reported_before_a_restart_is_known(world: World, api: Api) -> None:
    await api[0].post("/api/executions", content=FILL)
    async with serving(world) as (client, _):
        assert (await health(client))["components"]["mt5"]["status"] == "connected"


async def test_source_figures_stand_where_scripts_read_them(world: World, api: Api) -> None:
    working(world)
    quota = {"minute": QuotaWindow(8, 3, 5)}
    report = SourceReport("twelvedata", NOON_MS, NOON_MS, True, 10, 9, 1, 0.9, 120.5, 80.25, True, quota=quota)
    world.redis.set(keys.source_report("twelvedata"), encode_report(report))
    source = (await health(api[0]))["data_sources"]["twelvedata"]
    figures = {key: source[key] for key in ("total_calls", "success_calls", "failed_calls", "success_rate")}
    assert figures == {"total_calls": 10, "success_calls": 9, "failed_calls": 1, "success_rate": 0.9}
    assert (source["latency_p95_ms"], source["latency_mean_ms"], source["is_healthy"]) == (120.5, 80.25, True)
    minute = {"limit": 8, "used": 3, "remaining": 5, "reserve": 0}
    assert source["quota"] == {"minute": minute | dict.fromkeys(("resets_at", "runs_out_at", "back_at"))}
    found = (await api[0].get("/metrics/json")).json()["counters"]
    assert [found[f"api_calls_twelvedata{end}"] for end in ("", "_success", "_failure")] == [10, 9, 1]
    world.wall.ms += 5_001
    assert (await health(api[0]))["data_sources"]["twelvedata"]["is_healthy"] is None


async def test_what_has_not_happened_yet_is_zero_and_what_nobody_reports_is_null(world: World, api: Api) -> None:
    counted = ("data_points_collected", "features_computed", "signals_generated")
    named = ("collection_cycle_latency", "signal_generation_latency", "feature_computation_time")
    found = (await api[0].get("/metrics/json")).json()
    assert [found["counters"][name] for name in counted] == [None, None, None]
    assert [found["counters"][f"api_calls_yahoo{end}"] for end in ("", "_success", "_failure")] == [None, None, None]
    assert [found["histograms"][name]["count"] for name in named] == [None, None, None]
    for stage in ("collector", "features"):
        beat(world, stage, metrics=Metrics(stage))
    found = (await api[0].get("/metrics/json")).json()
    assert [found["counters"][name] for name in counted] == [0.0, 0.0, 0.0]
    assert [found["histograms"][name]["count"] for name in named] == [0.0, 0.0, 0.0]
    performance = (await health(api[0]))["performance"]
    assert [performance[name] for name in counted] == [0.0, 0.0, 0.0]
    # No cycle and no signal was ever timed: there is no percentile of nothing.
    assert (performance["collection_latency_p95_ms"], performance["signal_latency_p95_ms"]) == (None, None)


def test_a_rate_is_known_from_two_readings_on_and_no_longer_than_readings_come() -> None:
    rate = Rate()
    rate.note(NOON_MS, 0.0)
    assert rate.per_second(NOON_MS) is None
    rate.note(NOON_MS + 1_000, 0.0)
    assert rate.per_second(NOON_MS + 1_000) == 0.0
    rate.note(NOON_MS + 2_000, 6.0)
    assert rate.per_second(NOON_MS + 7_000) == 3.0
    assert rate.per_second(NOON_MS + 7_001) is None


async def test_metrics_json_has_the_documented_names_in_milliseconds(world: World, api: Api) -> None:
    working(world)
    found = (await api[0].get("/metrics/json")).json()
    assert found["counters"]["data_points_collected"] == 120.0
    assert found["gauges"]["data_freshness_EURUSD"] == 0.2
    # Nearest ranks of 10, 20, 30 and 400 ms.
    assert found["histograms"]["collection_cycle_latency"] == {
        "count": 4.0, "min": 10.0, "max": 400.0, "mean": 115.0, "p50": 20.0, "p95": 400.0, "p99": 400.0,
    }  # fmt: skip
    assert found["histograms"]["signal_generation_latency"]["p95"] == 2.0
    assert found["histograms"]["feature_computation_time"]["p95"] == 0.1


async def test_prometheus_reads_the_metrics_of_every_stage(world: World, api: Api) -> None:
    working(world)
    beat(world, "storer", age_ms=6_000)
    reply = await api[0].get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(reply.text)}
    points = {s.labels["symbol"]: s.value for s in families["md_data_points"].samples}
    assert points == {"EURUSD": 90.0, 'odd"\\name\n': 30.0}
    assert all({"stage", "instance"} <= s.labels.keys() for s in families["md_data_points"].samples)
    cycle = {(s.name, s.labels.get("le")): s.value for s in families["md_cycle_seconds"].samples}
    assert cycle["md_cycle_seconds_bucket", "+Inf"] == cycle["md_cycle_seconds_count", None] == 4.0
    assert cycle["md_cycle_seconds_bucket", "0.025"] == 2.0
    assert cycle["md_cycle_seconds_sum", None] == pytest.approx(0.46)
    up = {s.labels["stage"]: s.value for s in families["md_up"].samples}
    assert up == {"collector": 1.0, "validator": 1.0, "storer": 0.0, "features": 1.0, "api": 1.0}


async def test_the_exposition_follows_promtools_rules(world: World, api: Api) -> None:
    """The rules of `promtool check metrics`, as its linter (prometheus/client_golang, testutil/promlint) lists them."""
    working(world)
    text = (await api[0].get("/metrics")).text
    declared = [line.split()[2:4] for line in text.splitlines() if line.startswith("# TYPE")]
    helped = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP") and len(line.split()) > 3}
    assert len({name for name, _ in declared}) == len(declared)
    for name, kind in [*declared, *((name, metric.kind) for name, metric in METRICS.items())]:
        assert name.startswith("md_")
        assert name == name.lower()
        assert name.endswith("_total") == (kind == "counter"), name
        assert not name.endswith(("_bucket", "_count", "_sum", "_info"))
        assert not NEVER_IN_NAMES & set(name.split("_"))
    assert {name for name, _ in declared} <= helped
    buckets = [line for line in text.splitlines() if line.startswith("md_cycle_seconds_bucket")]
    counts = [float(line.rpartition(" ")[2]) for line in buckets]
    ends = [math.inf if '"+Inf"' in line else float(line.split('le="')[1].split('"')[0]) for line in buckets]
    assert (counts, ends) == (sorted(counts), sorted(ends))


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/health", {}, 401),
        ("/api/signals", {"authorization": "Bearer wrong"}, 401),
        ("/api/signals?token=wrong", {}, 401),
        ("/api/signals?token=s3cr%26t", {}, 200),
        ("/api/signals", {"authorization": "bearer s3cr&t"}, 200),
        ("/api/signals?token=%ff", {}, 401),
        ("/livez", {}, 200),
        ("/nowhere", {}, 401),
    ],
)
async def test_a_token_is_asked_for_where_one_is_set(
    world: World, tmp_path: Path, path: str, headers: dict[str, str], status: int
) -> None:
    settings = world.settings.model_copy(update={"api_token": type(world.settings.api_token)("s3cr&t")})
    async with serving(World(world.redis, settings, world.wall)) as (client, _):
        reply = await client.get(path, headers=headers)
        assert reply.status_code == status
        assert "s3cr" not in reply.text
