"""A week of collecting against vendors that enforce their own limits: nothing overrun, prices as fresh as can be."""

from datetime import UTC, datetime

import pytest

from tests.collector.bound import ratio
from tests.collector.played import FREE, HOUR_MS, SYMBOLS, Scenario, Span
from tests.collector.week import Week

WORST_RATIO = 1.25
"""Prices are at most so many times as old, in the mean, as the budgets without their reserves make necessary."""


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def span(begin: str, minutes: int) -> Span:
    return at(begin), at(begin) + minutes * 60_000


def busy_others(now_ms: int) -> int:
    """Another program with the same key: every half minute a credit, through one night."""
    begins_ms = at("2026-06-30T00:00")
    return int(begins_ms <= now_ms < begins_ms + 8 * HOUR_MS and now_ms % 30_000 == 0)


BEGIN, END = at("2026-06-29T00:00"), at("2026-07-06T00:00")
"""Monday to Sunday: with the daily breaks, the holiday of 3 July, and the opening on Sunday evening."""
CLOCKS_BEGIN, CLOCKS_END = at("2026-10-29T00:00"), at("2026-11-05T00:00")
"""New York's clocks change on 1 November."""
BLOCKS = {"yahoo": (span("2026-06-30T14:00", 15), span("2026-07-02T07:30", 15))}
SILENT = (span("2026-06-30T14:00", 60), span("2026-07-01T22:10", 5), span("2026-07-02T08:00", 15))

WEEKS = {
    "no keys": Scenario(BEGIN, END),
    "no keys, push": Scenario(BEGIN, END, push=True, silent=SILENT),
    "all free keys": Scenario(BEGIN, END, FREE),
    "all free keys, push": Scenario(BEGIN, END, FREE, push=True, silent=SILENT),
    "all free keys, a vendor blocks for 15 minutes": Scenario(BEGIN, END, FREE, blocked=BLOCKS),
    "all free keys, a vendor is down for an hour": Scenario(
        BEGIN, END, FREE, down={"yahoo": (span("2026-07-01T12:00", 60),)}
    ),
    "all free keys, clocks change": Scenario(CLOCKS_BEGIN, CLOCKS_END, FREE),
}


def run(title: str, scenario: Scenario) -> Week:
    week = Week(scenario).run()
    week.print_table(title)
    assert week.refusals == {}, "a vendor refused a call: a budget was overrun"
    assert week.closed_calls == [], "a closed market was asked for"
    assert min(week.least_reserve.values()) >= 0, "the reserve was touched by what may not touch it"
    assert week.late_failovers == []
    ratios = {symbol: ratio(week.staleness[symbol], week.bounds(symbol)[0]) for symbol in SYMBOLS}
    assert max(ratios.values()) <= WORST_RATIO, ratios
    return week


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("title", WEEKS)
def test_a_week_stays_within_every_budget_and_near_the_least_staleness(title: str) -> None:
    week = run(title, WEEKS[title])
    eventful = week.scenario.blocked or week.scenario.down or week.scenario.silent
    assert bool(week.failovers) == bool(eventful)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_day_that_somebody_else_used_up_costs_no_more_than_the_refusal_that_tells() -> None:
    week = Week(Scenario(BEGIN, END, FREE, others=busy_others)).run()
    week.print_table("all free keys, another program uses most of a day")
    assert {name: len(found) for name, found in week.refusals.items()} in ({}, {"twelvedata": 1})
    least = Week(Scenario(BEGIN, END)).bounds("EURUSD")[0]
    assert ratio(week.staleness["EURUSD"], least) <= 1, "no worse than without that vendor"


def test_six_hours_with_a_block_of_15_minutes_and_the_daily_break() -> None:
    begin = at("2026-06-30T17:00")
    blocked = {"yahoo": (span("2026-06-30T18:00", 15),)}
    week = run("six hours", Scenario(begin, begin + 6 * HOUR_MS, FREE, blocked=blocked))
    assert week.failovers > 0


def test_six_hours_of_push_with_a_silent_socket() -> None:
    begin = at("2026-06-30T17:00")
    silent = (span("2026-06-30T18:00", 15),)
    week = run("six hours, push", Scenario(begin, begin + 6 * HOUR_MS, push=True, silent=silent))
    assert week.failovers == len(SYMBOLS), "each was asked for in the very second in which its push was lost"
