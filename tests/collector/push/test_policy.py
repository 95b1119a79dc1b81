"""Patience, silence and standing of a connection, by table and by property."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.blocks import HOPELESS, HOPELESS_MS
from collector.push.policy import End, Quiet, Standing, State, ended, is_silent, opened, pause_s, priced, shown
from collector.vendors.base import Verdict

LOST = End(Verdict.OUTAGE, "lost")


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_between_a_second_and_a_minute(failures: int, random: float) -> None:
    assert 1.0 <= pause_s(failures, random) <= 60.0


def test_the_longest_pause_doubles_up_to_a_minute() -> None:
    assert [round(pause_s(n, 0.999_999)) for n in range(1, 9)] == [2, 4, 8, 16, 32, 60, 60, 60]


@pytest.mark.parametrize(
    ("end", "state", "wait_s"),
    [
        (LOST, State.DOWN, 1.0),
        (replace(LOST, retry_after_s=90.0), State.DOWN, 90.0),
        (replace(LOST, silent=True), State.SILENT, 1.0),
        (End(Verdict.RATE_LIMITED), State.DOWN, 60.0),
        (End(Verdict.RATE_LIMITED, retry_after_s=5.0), State.DOWN, 5.0),
        (End(Verdict.BAD_KEY), State.REFUSED, HOPELESS_MS / 1000),
        (End(Verdict.NOT_ENTITLED), State.REFUSED, HOPELESS_MS / 1000),
        (End(Verdict.BAD_REQUEST), State.DOWN, 1.0),
    ],
)
def test_what_follows_from_an_end(end: End, state: State, wait_s: float) -> None:
    after = ended(Standing(State.LIVE), end, 7, 100.0, 0.0)
    assert (after.state, after.retry_s, after.since_ms) == (state, 100.0 + wait_s, 7)


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.OK])
def test_what_is_hopeless_for_a_poll_is_hopeless_for_a_connection(verdict: Verdict) -> None:
    after = ended(Standing(State.LIVE), End(verdict), 0, 0.0, 0.0)
    assert (after.state is State.REFUSED) == (verdict in HOPELESS)


def test_failures_count_until_a_price_comes() -> None:
    standing = Standing()
    for number in range(1, 4):
        standing = ended(opened(standing, 0), LOST, 0, 0.0, 0.0)
        assert standing.failures == number
    assert ended(priced(standing, 0), replace(LOST, priced=True), 0, 0.0, 0.0).failures == 1


def test_a_silent_connection_that_is_open_again_stays_silent_until_it_brings_a_price() -> None:
    silent = ended(Standing(State.LIVE), replace(LOST, silent=True), 1, 0.0, 0.0)
    assert opened(silent, 2).state is State.SILENT
    proven = priced(opened(silent, 2), 3)
    assert (proven.state, proven.since_ms, proven.failures, proven.detail) == (State.LIVE, 3, 0, "")


@pytest.mark.parametrize(
    ("real_s", "stream_ms", "silent"),
    [(9.9, 10_000, False), (10.0, 9_999, False), (10.0, 10_000, True), (10_000.0, 0, False), (0.1, 10**9, False)],
)
def test_silence_counts_when_it_has_lasted_in_real_and_in_stream_time(
    real_s: float, stream_ms: int, silent: bool
) -> None:
    assert is_silent(Quiet(50.0, 1_000), 50.0 + real_s, 1_000 + stream_ms, 10.0) is silent


def test_a_connection_that_opened_before_time_began_is_live_since_its_first_price() -> None:
    assert priced(opened(Standing(), 0), 500).since_ms == 500
    assert priced(opened(Standing(), 400), 500).since_ms == 400


def test_a_source_shows_the_best_of_its_connections() -> None:
    states = (State.REFUSED, State.DOWN, State.CONNECTING, State.SILENT, State.LIVE)
    for n, state in enumerate(states):
        assert shown(tuple(Standing(s) for s in states[: n + 1])).state is state
    assert shown(()).state is State.OFF
