"""What goes on beside the work must neither stop it for ever, nor fill the memory, nor frighten for nothing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from common import housekeeping
from common.housekeeping import lag_s, trim, trim_floor
from common.keys import BARS, FIELD, HISTORY, QUOTES, RAW, Stream
from common.loop import StageRunner
from common.metrics import Metrics
from common.redis_link import Link, link_to
from common.settings import Settings
from common.stage import Batch, Outcome, StageSpec
from tests.chaos.matrix import fault
from tests.common.relay import Relay, feed, passed_on, relay_spec
from tests.common.test_housekeeping import create, fill, read
from tests.conftest import RedisServer
from tests.support import wait_until

KEY = QUOTES.key(0)


@pytest.fixture
def settings(redis_server: RedisServer, redis_client: "redis.Redis", tmp_path: Path) -> Settings:
    """Settings for the empty Valkey."""
    return Settings(_env_file=None, redis_host=redis_server.host, redis_port=redis_server.port, state_dir=tmp_path)  # type: ignore[call-arg]


@pytest.fixture
def valkey(redis_server: RedisServer) -> Link:
    """A connection to it."""
    return link_to(redis_server.host, redis_server.port)


@contextmanager
def running(settings: Settings, spec: StageSpec) -> Iterator[StageRunner]:
    """A stage at work in a thread."""
    runner = StageRunner(spec, settings, Metrics(spec.name))
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        yield runner
    finally:
        runner.stop()
        thread.join(10)


# -- trimming --------------------------------------------------------------------------------------


def test_what_all_have_read_does_not_stay_for_a_look_where_it_is_much(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "KEEP_ENTRIES", 3)
    now = int(link.call("TIME")[0]) * 1000  # type: ignore[index, arg-type]
    fill(link, *[f"{now - back}-0" for back in (50, 40, 30, 20, 10)])
    create(link, "features", "storer")
    read(link, "features", 5, 5)
    read(link, "storer", 5, 3)
    trim(link, [QUOTES], 0)
    assert link.call("XLEN", KEY) == 2  # what the storer has not acknowledged


def test_what_all_have_read_does_not_stay_for_a_look_where_it_is_half_of_a_small_budget(link: Link) -> None:
    """Else a writer would be held back though nobody is behind."""
    now = int(link.call("TIME")[0]) * 1000  # type: ignore[index, arg-type]
    fill(link, *[f"{now - back}-0" for back in (50, 40, 30, 20, 10)])
    create(link, "features", "storer")
    for group in ("features", "storer"):
        read(link, group, 5, 4)
    trim(link, [QUOTES], 0, budget_entries=10)
    assert link.call("XLEN", KEY) == 5
    trim(link, [QUOTES], 0, budget_entries=8)
    assert link.call("XLEN", KEY) == 1


def test_a_group_that_goes_away_between_two_looks_keeps_everything(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(link, "1-0", "2-0")
    create(link, "features", "storer")
    found = {"features": ((2, 0), 2), "storer": ((2, 0), 2)}
    monkeypatch.setattr(housekeeping, "groups_of", lambda _link, _key: found)
    link.call("XGROUP", "DESTROY", KEY, "storer")
    assert trim_floor(link, QUOTES, 0) == (0, 0)


@pytest.mark.short
@fault(
    "F11",
    row="started with a Redis that is out of memory",
    promise="streams are trimmed all the same, so that there is room again",
    teeth="common/loop.py: in run, leave _make_room() out",
)
def test_a_redis_without_memory_gets_some_back_by_trimming(valkey: Link, settings: Settings) -> None:
    """Else nobody could start, and so nobody would trim what keeps everybody from starting."""
    fill(valkey, "1-0", "2-0", "3-0")
    create(valkey, "features", "storer")
    for group in ("features", "storer"):
        read(valkey, group, 3, 3)
    valkey.call("CONFIG", "SET", "maxmemory", "1")
    try:
        with running(settings, relay_spec()):
            wait_until(lambda: valkey.call("XLEN", KEY) == 1, 10, "the trimming")
            valkey.call("CONFIG", "SET", "maxmemory", "0")
            feed(valkey, "A")
            wait_until(lambda: valkey.call("XLEN", KEY) == 2, 10, "the work to go on")
    finally:
        valkey.call("CONFIG", "SET", "maxmemory", "0")


# -- lag -------------------------------------------------------------------------------------------


def test_the_lag_of_a_group_that_has_read_nothing_is_the_streams_length_in_time(link: Link) -> None:
    fill(link, "1700000000000-0", "1700000005000-0")
    create(link, "features")
    assert lag_s(link, [QUOTES], 0, "features") == {"quotes": 5.0}


def test_an_empty_stream_has_no_lag(link: Link) -> None:
    create(link, "features")
    assert lag_s(link, [QUOTES], 0, "features") == {"quotes": 0.0}


# -- holding back ----------------------------------------------------------------------------------


class Echo(Relay):
    """Takes everything and publishes nothing."""

    def handle(self, batch: Batch) -> Outcome:
        """Take it."""
        return Outcome()


@pytest.mark.parametrize(("output", "goes_on"), [(HISTORY, True), (BARS, False)])
def test_nobody_holds_back_for_an_answer_that_the_asker_cannot_take_now(
    valkey: Link, settings: Settings, output: Stream, goes_on: bool
) -> None:
    """The asker may be held back by what it writes to us: then both would wait for ever."""
    for _ in range(3):
        valkey.call("XADD", output.key(0), "*", FIELD, "{}")
    given = settings.model_copy(update={"stream_budget": 3})
    spec = StageSpec(name="relay", inputs=(RAW,), outputs=(output,), make_handler=Echo)
    with running(given, spec) as runner:
        wait_until(lambda: _over_budget(runner, output) == 1.0, 10, "the alarm")
        feed(valkey, "A")
        due_s = runner._housekeeping_due
        wait_until(lambda: runner._housekeeping_due > due_s, 10, "the next look at the streams")
        if goes_on:
            wait_until(lambda: _taken(valkey), 10, "the entry to be taken")
        assert _taken(valkey) is goes_on
        held_back = [] if goes_on else [output.name]
        wait_until(lambda: runner.held_back == held_back, 10, f"{held_back} to be held back")  # made anew at each look


def test_what_lingers_is_committed_at_a_stop(valkey: Link, settings: Settings) -> None:
    with running(settings, relay_spec(linger_s=3600.0)) as runner:
        feed(valkey, "A")
        wait_until(lambda: runner._loops[0].in_hand == 1, 10, "the entry to be in hand")
        assert passed_on(valkey) == []
    assert passed_on(valkey) == [(0, 1.0)]


def _over_budget(runner: StageRunner, stream: Stream) -> float | None:
    gauges = runner.metrics.snapshot().gauges
    return next((g.value for g in gauges if g.name == "md_stream_over_budget" and stream.name in str(g)), None)


def _taken(link: Link) -> bool:
    groups = link.call("XINFO", "GROUPS", RAW.key(0))
    fields = dict(zip(groups[0][::2], groups[0][1::2], strict=True))  # type: ignore[index]  # raw reply
    return fields[b"last-delivered-id"] != b"0-0"


def test_an_idle_stage_uses_next_to_no_cpu(valkey: Link, settings: Settings) -> None:
    """Round trips stand for it: a read every half second, and the housekeeping of every second."""
    with running(settings, relay_spec()):
        feed(valkey, "A")
        wait_until(lambda: len(passed_on(valkey)) == 1, 10, "the stage to work")
        before, began_s = _processed(valkey), _second(valkey)
        wait_until(lambda: _second(valkey) >= began_s + 3, 10, "three seconds")
        reads = _processed(valkey) - before
        passed_s = _second(valkey) - began_s
    assert reads <= 4 * passed_s


def _second(link: Link) -> int:
    return int(link.call("TIME")[0])  # type: ignore[index, arg-type]


def _processed(link: Link) -> int:
    text = link.call("INFO", "commandstats")
    assert isinstance(text, bytes)
    line = next(x for x in text.splitlines() if x.startswith(b"cmdstat_xreadgroup:"))
    return int(line.split(b"calls=")[1].split(b",")[0])
