"""What fails is told apart: poison, a handler that waits, a stop, and commands that Redis could not execute."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from common import keys
from common.errors import Fatal, Retryable
from common.keys import BARS, FIELD, QUOTES, RAW
from common.metrics import Metrics
from common.partition_loop import POISON_LIMIT, PartitionLoop, Stopped
from common.reader import Undecodable, decode_entry
from common.redis_link import Command, Link
from common.stage import Batch, Outcome
from tests.common.conftest import NewLoop
from tests.common.relay import POISON, Relay, feed, passed_on, pending, relay_spec, settle

LinkFactory = Callable[[], Link]


def feed_garbage(link: Link, count: int) -> None:
    """Add entries that are no messages."""
    for _ in range(count):
        link.call("XADD", RAW.key(0), "*", FIELD, b"{")


# -- a stop is no failure --------------------------------------------------------------------------


class DiskAway(Relay):
    """What it writes to is away."""

    def handle(self, batch: Batch) -> Outcome:
        """Fail."""
        raise Retryable("the disk is full")


def stop(seconds: float) -> None:
    """SIGTERM came while waiting."""
    if seconds:
        raise Stopped("asked to stop")


def stop_at_once(_: float) -> None:
    """SIGTERM came before."""
    raise Stopped("asked to stop")


def test_a_stop_while_the_disk_is_away_counts_against_no_entry(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(make_handler=DiskAway), pause=stop)
    feed(link, "A", "B", "C")
    with pytest.raises(Stopped):
        settle(loop)
    assert link.call("EXISTS", keys.failures(0, "relay")) == 0
    assert pending(link) == 3


def test_a_stop_is_heard_while_poison_is_searched(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(pause=stop_at_once)
    feed(link, "A", "B", POISON)
    with pytest.raises(Stopped):
        settle(loop)
    assert pending(link) == 3


# -- restoring -------------------------------------------------------------------------------------


class Mends(Relay):
    """Has something to write at its start, as where what was stored is of another layout."""

    def restore(self, link: Link) -> Outcome:
        """Return a write."""
        super().restore(link)
        return Outcome(writes=[("INCR", keys.feature_values(0, "mended", "1m"))])


def test_what_restoring_leads_to_is_committed_before_the_first_batch(link: Link, new_loop: NewLoop) -> None:
    new_loop(relay_spec(make_handler=Mends))
    assert link.call("GET", keys.feature_values(0, "mended", "1m")) == b"1"


def test_an_urgent_entry_ends_the_lingering_for_all_in_hand(link: Link, new_loop: NewLoop) -> None:
    spec = replace(relay_spec(), inputs=(RAW, BARS), urgent=(BARS,), linger_s=3600.0)
    loop = new_loop(spec)
    settle(loop)
    feed(link, "A")
    assert loop.step(0) == 0
    fields = link.call("XRANGE", RAW.key(0), "-", "+")[0][1]  # type: ignore[index]  # raw reply
    link.call("XADD", BARS.key(0), "*", *fields)  # type: ignore[misc]  # raw reply
    assert loop.step(0) == 2


# -- poison ----------------------------------------------------------------------------------------


def test_garbage_among_good_entries_does_not_stop_the_stage(link: Link, new_loop: NewLoop) -> None:
    feed_garbage(link, POISON_LIMIT + 5)
    feed(link, POISON, "A", "B")
    settle(new_loop())
    assert passed_on(link) == [(1, 1.0), (2, 2.0)]
    assert link.call("XLEN", keys.dead(0, "relay")) == POISON_LIMIT + 6
    assert pending(link) == 0


def test_nothing_but_garbage_stops_the_stage_and_stays_pending(link: Link, new_loop: NewLoop) -> None:
    feed_garbage(link, POISON_LIMIT)
    with pytest.raises(Fatal, match="none succeeded"):
        settle(new_loop())
    assert pending(link) == POISON_LIMIT


def test_poison_on_both_edges_of_the_batches_keeps_the_order(link: Link, new_loop: NewLoop) -> None:
    feed(link, POISON, "A", "B", POISON, POISON, "C", "D", "E", POISON)
    loop = new_loop(relay_spec(batch_entries=3))
    settle(loop)
    feed(link, "F")
    settle(loop)
    assert passed_on(link) == [(1, 1.0), (2, 2.0), (5, 3.0), (6, 4.0), (7, 5.0), (0, 6.0)]
    assert link.call("XLEN", keys.dead(0, "relay")) == 4
    assert pending(link) == 0


class FailsOnce(Relay):
    """Fails at its first call, and never again."""

    failed = False

    def handle(self, batch: Batch) -> Outcome:
        """Fail once."""
        if not FailsOnce.failed:
            FailsOnce.failed = True
            raise ValueError("once")
        return super().handle(batch)


def test_the_failures_of_an_entry_that_succeeds_at_last_are_forgotten(link: Link, new_loop: NewLoop) -> None:
    FailsOnce.failed = False
    loop = new_loop(relay_spec(make_handler=FailsOnce))
    feed(link, "A")
    settle(loop)
    assert passed_on(link) == [(0, 1.0)]
    assert link.call("EXISTS", keys.failures(0, "relay")) == 0


def test_the_failures_of_an_earlier_life_are_forgotten_as_well(link: Link, new_loop: NewLoop) -> None:
    ids = feed(link, "A")
    link.call("HSET", keys.failures(0, "relay"), f"raw {ids[0]}", 2)
    settle(new_loop())
    assert link.call("EXISTS", keys.failures(0, "relay")) == 0


def test_a_body_nested_without_end_is_an_undecodable_entry() -> None:
    depth = 200_000
    body = b'{"kind":"clock","x":' + b"[" * depth + b"]" * depth + b"}"
    assert isinstance(decode_entry(RAW, "1-0", [FIELD, body]), Undecodable)


def test_vanished_entries_are_acknowledged_and_the_others_keep_their_order(link: Link, new_loop: NewLoop) -> None:
    first = new_loop()
    ids = feed(link, "A", "B", "C", "D")
    first.step(0)  # the (empty) backlog
    first.reader.news(10, 0)
    link.call("XDEL", RAW.key(0), ids[0], ids[2])
    settle(new_loop(relay_spec(batch_entries=2)))
    assert [number for number, _ in passed_on(link)] == [1, 3]
    assert pending(link) == 0


# -- what Redis could not execute ------------------------------------------------------------------


class TwoKeys(Relay):
    """Also appends to two lists, of which somebody has made something else just before."""

    saboteur: Link
    lists = (keys.bar_cache(0, "A", "1m"), keys.bar_cache(0, "A", "1h"))

    def handle(self, batch: Batch) -> Outcome:
        """Handle as usual, then sabotage."""
        outcome = super().handle(batch)
        writes: list[Command] = [("RPUSH", key, "bar") for key in self.lists]
        for key in self.lists:
            self.saboteur.call("SET", key, "not a list")
        return Outcome(outcome.publish, [*outcome.writes, *writes])


@pytest.fixture
def half_failed(link: Link, new_link: LinkFactory, new_loop: NewLoop) -> tuple[str, str]:
    """A stage that stopped because two of its commands failed. Returns their keys."""
    TwoKeys.saboteur = new_link()
    loop = new_loop(relay_spec(make_handler=TwoKeys))
    feed(link, "A")
    with pytest.raises(Fatal, match="issued again at the next start"):
        settle(loop)
    return TwoKeys.lists


def test_held_commands_are_each_issued_once_however_often_others_fail(
    link: Link, new_loop: NewLoop, half_failed: tuple[str, str], tmp_path: Path
) -> None:
    good, bad = half_failed
    link.call("DEL", good)
    for _ in range(2):
        with pytest.raises(Fatal, match="fails again"):
            new_loop()
    link.call("DEL", bad)
    settle(new_loop())
    settle(new_loop())
    assert [link.call("LRANGE", key, 0, -1) for key in half_failed] == [[b"bar"], [b"bar"]]
    assert list(tmp_path.glob("*.json")) == []


def test_an_unreadable_file_of_held_commands_is_named(new_loop: NewLoop, tmp_path: Path) -> None:
    (tmp_path / "relay-p0-1.json").write_bytes(b'{"stage":"rel')
    with pytest.raises(Fatal, match=r"relay-p0-1\.json: expected held commands"):
        new_loop()


class BreaksTheDeadLetters(Relay):
    """Somebody puts a string where the dead letters go, after the start."""

    saboteur: Link

    def handle(self, batch: Batch) -> Outcome:
        """Sabotage, then handle as usual."""
        self.saboteur.call("SET", keys.dead(0, "relay"), "not a stream")
        return super().handle(batch)


def test_a_dead_letter_that_redis_refuses_is_held(
    link: Link, new_link: LinkFactory, new_loop: NewLoop, tmp_path: Path
) -> None:
    BreaksTheDeadLetters.saboteur = new_link()
    loop = new_loop(relay_spec(make_handler=BreaksTheDeadLetters))
    feed(link, POISON, "A")
    with pytest.raises(Fatal, match="issued again at the next start"):
        settle(loop)
    link.call("DEL", keys.dead(0, "relay"))
    settle(new_loop())
    assert link.call("XLEN", keys.dead(0, "relay")) == 1
    assert passed_on(link) == [(1, 1.0)]


class BreaksTheOutput(Relay):
    """Somebody puts a string where the results go."""

    saboteur: Link
    handled = 0

    def handle(self, batch: Batch) -> Outcome:
        """Handle as usual, then sabotage."""
        BreaksTheOutput.handled += 1
        outcome = super().handle(batch)
        self.saboteur.call("DEL", QUOTES.key(0))
        self.saboteur.call("SET", QUOTES.key(0), "not a stream")
        return outcome


def test_where_even_the_disk_refuses_the_stage_stops_and_handles_nothing_again(
    link: Link, new_link: LinkFactory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    BreaksTheOutput.saboteur, BreaksTheOutput.handled = new_link(), 0
    folder = tmp_path / "dead-letters"
    folder.write_text("a file where the folder should be")
    spec = relay_spec(make_handler=BreaksTheOutput)
    loop = PartitionLoop(spec, 0, new_link(), "relay-0", Metrics("relay"), folder, lambda _: None)
    loop.open()
    feed(link, "A")
    with pytest.raises(Fatal, match="STATE_DIR"):
        settle(loop)
    assert BreaksTheOutput.handled == 1
    assert "dead_letters.not_kept" in capsys.readouterr().out
