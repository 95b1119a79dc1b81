"""What operators read of a source: figures, health, and no word that is only a guess."""

from pathlib import Path

from collector.limits import Plan, Window
from collector.report import is_healthy, note_metrics, report_of
from collector.stats import SourceStats, SymbolStats
from collector.vendors.base import Ask, Verdict
from common.messages import RawQuote
from common.redis_link import Link
from common.sources import QuotaWindow, decode_report, encode_report
from tests.collector.kit import T0, FaultServer, Now, PlainVendor, means_of, ok, prices, source_of, table_of

ASKS = (Ask("EURUSD", "EURUSD", "fx_spot"), Ask("GBPUSD", "GBPUSD", "fx_spot"))


async def test_a_source_that_was_never_called_is_not_known_to_be_healthy(link: Link, tmp_path: Path) -> None:
    source = source_of(PlainVendor("a"), "http://127.0.0.1:1", means_of(link, tmp_path, Now()), table=table_of(["a"]))
    report = report_of(source, source.view(T0), {}, T0, T0)
    assert (report.is_healthy, report.success_rate, report.latency_p95_ms, report.total_calls) == (None, None, None, 0)
    assert report.symbols["EURUSD"].quality is None
    await source.fetcher.close()


async def test_the_figures_after_good_and_bad_calls(server: FaultServer, link: Link, tmp_path: Path) -> None:
    plan = Plan("a", "p", (Window("minute", 60_000, 8),))
    source = source_of(PlainVendor("a"), server.url, means_of(link, tmp_path, Now()), plan, table=table_of(["a"]))
    for behaviour in (prices(T0 - 100, EURUSD=1.1), prices(T0 - 50, EURUSD=1.2), ok({"error": "outage"})):
        server.behave = behaviour
        await source.latest(ASKS, source.admit())
    report = decode_report(encode_report(report_of(source, source.view(T0), {("a", "EURUSD"): 2}, T0, T0 + 7)))
    assert (report.total_calls, report.success_calls, report.failed_calls, report.success_rate) == (3, 2, 1, 0.666667)
    assert report.quota == {"minute": QuotaWindow(8, 3, 5, T0 + 61_000)}
    assert (report.is_healthy, report.last_error) == (False, "outage: ")
    euro, pound = report.symbols["EURUSD"], report.symbols["GBPUSD"]
    assert (euro.asked, euro.served, euro.published, euro.last_market_ms) == (3, 2, 2, T0 - 50)
    # By hand: fresh (1), two of three calls served, price and market time both there.
    assert euro.quality == round(0.4 * 1 + 0.4 * 2 / 3 + 0.2 * 1, 4)
    assert (pound.asked, pound.served, pound.quality) == (3, 0, 0.0)
    assert report.latency_mean_ms is not None
    assert 0 < report.latency_mean_ms < 1_000
    await source.fetcher.close()


async def test_an_answer_that_repeats_the_one_before_is_unchanged_and_no_failure(
    server: FaultServer, link: Link, tmp_path: Path
) -> None:
    source = source_of(PlainVendor("a"), server.url, means_of(link, tmp_path, Now()), table=table_of(["a"]))
    verdicts = []
    for quoted in ({"EURUSD": 1.1}, {"EURUSD": 1.1}, {"EURUSD": 1.2}, {"EURUSD": 1.2}, {"EURUSD": 1.2, "GBPUSD": 1.3}):
        server.behave = prices(T0, **quoted)
        answer = await source.latest(ASKS, source.admit())
        verdicts.append(answer.verdict)
        assert {quote.symbol: quote.last for quote in answer.quotes} == quoted
    assert verdicts == [Verdict.OK, Verdict.UNCHANGED, Verdict.OK, Verdict.UNCHANGED, Verdict.OK]
    assert (source.stats.success, source.stats.failed) == (5, 0)
    await source.fetcher.close()


async def test_a_refused_key_is_named_with_its_deadline(server: FaultServer, link: Link, tmp_path: Path) -> None:
    source = source_of(PlainVendor("a"), server.url, means_of(link, tmp_path, Now()))
    server.behave = ok({"error": "bad_key", "detail": "no such key"})
    await source.latest(ASKS, source.admit())
    view = source.view(T0)
    blocked = report_of(source, view, {}, T0, T0).blocked
    assert blocked is not None
    assert (blocked.reason, blocked.until_ms, blocked.detail) == ("bad_key", T0 + 3_600_000, "no such key")
    assert is_healthy(source, view) is False
    await source.fetcher.close()


async def test_a_budget_that_is_used_up_says_so_and_when_it_is_back(
    server: FaultServer, link: Link, tmp_path: Path
) -> None:
    plan = Plan("a", "p", (Window("minute", 60_000, 3, reserve=1), Window("day", 86_400_000, 30, "UTC", 3)))
    means = means_of(link, tmp_path, Now())
    source = source_of(PlainVendor("a"), server.url, means, plan, table=table_of(["a"]))
    server.behave = prices(T0, EURUSD=1.1, GBPUSD=1.2)
    assert report_of(source, source.view(T0), {}, T0, T0).next_turn_ms == T0
    for _ in range(2):
        await source.latest(ASKS, source.admit())
    view = source.view(T0)
    report = report_of(source, view, {}, T0, T0)
    midnight_ms = T0 + 10 * 3_600_000
    assert report.quota == {
        "minute": QuotaWindow(3, 2, 1, T0 + 61_000, 1, T0, T0 + 61_000),
        "day": QuotaWindow(30, 2, 28, midnight_ms, 3),
    }
    assert report.round_ms == 10 * 3_600_000 // 25, "ten hours and 25 regular calls are left"
    assert report.next_turn_ms == T0 + 2 * (10 * 3_600_000 // 27 + 1), "both turns by the pace that was seen before"
    note_metrics(means.metrics, view, T0)
    seen = {(s.name, s.labels["window"]): s.value for s in means.metrics.snapshot().gauges if "window" in s.labels}
    assert {name: value for (name, window), value in seen.items() if window == "minute"} == {
        "md_quota_remaining": 1, "md_quota_reserve": 1, "md_quota_runs_out_seconds": 0, "md_quota_back_seconds": 61,
    }  # fmt: skip
    assert ("md_quota_runs_out_seconds", "day") not in seen, "it lasts"
    await source.fetcher.close()


def test_quality_falls_with_the_age_of_the_newest_quote() -> None:
    figures = SymbolStats("c")
    figures.note(RawQuote("X", "c", market_ms=T0, last=1.0), T0 + 5)
    assert figures.quality(T0 + 60_000, 60_000) == 1.0
    assert figures.quality(T0 + 120_000, 60_000) == 0.8
    assert figures.quality(T0 + 600_000, 60_000) == 0.64


def test_quantiles_are_those_of_the_nearest_rank() -> None:
    stats = SourceStats()
    for ms in range(1, 101):
        stats.call(Verdict.OK, ms / 1000, "")
    assert stats.latency_ms() == (95.0, 50.5)
