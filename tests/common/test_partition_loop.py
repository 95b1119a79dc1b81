"""The promise of the stage loop: nothing lost, nothing twice, in order, whatever fails."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from common import keys
from common.errors import Fatal, Fenced, Retryable
from common.fence import Fence
from common.keys import FIELD, QUOTES, RAW
from common.messages import DeadLetter, RawQuotes, decode
from common.reader import GroupsLost
from common.redis_link import CommandRefused, Link
from common.stage import Batch, Entry, Outcome
from tests.chaos.matrix import fault
from tests.common.conftest import NewLoop
from tests.common.relay import POISON, Relay, feed, passed_on, pending, relay_spec, settle


def test_results_state_and_acknowledgement_are_committed_together(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop()
    feed(link, "A", "B", "C")
    settle(loop)
    assert passed_on(link) == [(0, 1.0), (1, 2.0), (2, 3.0)]
    assert pending(link) == 0
    assert link.call("HGET", keys.state(0, "relay"), "seen") == b"3"


def test_entries_from_before_the_group_existed_are_read(link: Link, new_loop: NewLoop) -> None:
    feed(link, "A")
    settle(new_loop())
    assert passed_on(link) == [(0, 1.0)]


def test_own_backlog_comes_before_news(link: Link, new_loop: NewLoop) -> None:
    first = new_loop()
    feed(link, "A", "B")
    first.step(0)  # the (empty) backlog
    first.reader.news(10, 0)  # read, and then the process dies
    feed(link, "C")
    settle(new_loop())
    assert [count for _, count in passed_on(link)] == [1.0, 2.0, 3.0]
    assert pending(link) == 0


def test_poison_is_dead_lettered_alone_and_the_rest_flows_in_order(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop()
    ids = feed(link, "A", "B", POISON, "C", "D")
    settle(loop)
    assert passed_on(link) == [(0, 1.0), (1, 2.0), (3, 3.0), (4, 4.0)]
    assert pending(link) == 0
    letters = link.call("XRANGE", keys.dead(0, "relay"), "-", "+")
    assert len(letters) == 1  # type: ignore[arg-type]
    letter = decode(letters[0][1][1])  # type: ignore[index, arg-type]
    assert isinstance(letter, DeadLetter)
    assert (letter.entry_id, letter.reason, letter.failures) == (ids[2], "ValueError", 3)
    assert "POISON can't be handled" in letter.detail
    assert POISON in letter.body
    assert link.call("EXISTS", keys.failures(0, "relay")) == 0


def test_an_entry_that_is_no_message_is_dead_lettered(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop()
    link.call("XADD", RAW.key(0), "*", FIELD, b'{"kind":"no_such_kind"}')
    link.call("XADD", RAW.key(0), "*", "other", b"x")
    feed(link, "A")
    settle(loop)
    assert passed_on(link) == [(0, 1.0)]
    assert link.call("XLEN", keys.dead(0, "relay")) == 2
    assert pending(link) == 0


def test_when_everything_is_poison_the_stage_stops_and_leaves_the_entries(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop()
    feed(link, *[POISON] * 12)
    with pytest.raises(Fatal, match=r"none succeeded.*POISON can't be handled"):
        settle(loop, 40)
    assert pending(link) == 12
    assert link.call("EXISTS", keys.dead(0, "relay")) == 0


def test_an_overtaken_instance_commits_nothing(link: Link, new_loop: NewLoop) -> None:
    old = new_loop()
    feed(link, "A")
    old.step(0)
    new = new_loop()
    with pytest.raises(Fenced, match="another instance has taken over"):
        settle(old)
    settle(new)
    new.drain_strays()  # what the old one had read before it noticed
    settle(new)
    assert passed_on(link) == [(0, 1.0)]
    assert pending(link) == 0


def test_two_instances_under_one_name_double_nothing(link: Link, new_loop: NewLoop) -> None:
    feed(link, *"ABCDEFGHIJ")
    old = new_loop(relay_spec(batch_entries=3))
    old.step(0)
    new = new_loop(relay_spec(batch_entries=3))
    with pytest.raises(Fenced):
        settle(old)
    for _ in range(3):
        settle(new)
        new.drain_strays()
    assert [number for number, _ in passed_on(link)] == list(range(10))
    assert pending(link) == 0


@pytest.mark.short
@fault(
    "F11",
    row="an EXEC of an overtaken instance that comes late",
    promise="Redis itself aborts it",
    teeth="common/fence.py: in read, PING in place of WATCH: an EXEC that comes late is executed",
)
def test_a_delayed_exec_of_an_overtaken_instance_is_aborted(new_link: Callable[[], Link]) -> None:
    late_link, link = new_link(), new_link()
    late, fresh = Fence(late_link, 0, "relay"), Fence(link, 0, "relay")
    late.take()
    late.read([])  # watches; its EXEC is still under way when ...
    fresh.take()  # ... the successor starts
    with pytest.raises(Fenced):
        late.commit([("XADD", QUOTES.key(0), "*", FIELD, b"x")])
    assert link.call("EXISTS", QUOTES.key(0)) == 0


class BreaksTheOutput(Relay):
    """While it handles, somebody replaces its output stream by a string: the XADD fails inside EXEC."""

    saboteur: Link

    def handle(self, batch: Batch) -> Outcome:
        """Handle as usual, then sabotage."""
        outcome = super().handle(batch)
        self.saboteur.call("DEL", QUOTES.key(0))
        self.saboteur.call("SET", QUOTES.key(0), "not a stream")
        return outcome


@pytest.mark.short
@fault(
    "F11",
    row="a command that fails inside an executed EXEC (the others, the acknowledgement too, took effect)",
    promise="the stage stops, what failed is kept in a file and issued once at the next start",
    teeth="common/fence.py: in commit, return replies in place of raise ExecFailed",
)
def test_an_xadd_that_fails_inside_the_transaction_loses_nothing(
    link: Link, new_link: Callable[[], Link], new_loop: NewLoop, tmp_path: Path
) -> None:
    BreaksTheOutput.saboteur = new_link()
    loop = new_loop(relay_spec(make_handler=BreaksTheOutput))
    feed(link, "A", "B")
    with pytest.raises(Fatal, match="issued again at the next start"):
        settle(loop)
    assert len(list(tmp_path.glob("relay-p0-*.json"))) == 1
    with pytest.raises(Fatal, match="expected a stream, found b'string'"):
        new_loop()
    link.call("DEL", QUOTES.key(0))
    settle(new_loop())
    assert passed_on(link) == [(0, 1.0), (1, 2.0)]
    settle(new_loop())  # once more: issued once
    assert passed_on(link) == [(0, 1.0), (1, 2.0)]
    assert link.call("HGET", keys.state(0, "relay"), "seen") == b"2"


class DiskAway(Relay):
    """What it writes to is away for the first calls."""

    left = 3

    def handle(self, batch: Batch) -> Outcome:
        """Count in memory before failing: a retry must start from the committed state."""
        outcome = super().handle(batch)
        if DiskAway.left > 0:
            DiskAway.left -= 1
            raise Retryable("the disk is full")
        return outcome


def test_a_batch_is_kept_while_the_disk_is_away(link: Link, new_loop: NewLoop) -> None:
    DiskAway.left = 3
    loop = new_loop(relay_spec(make_handler=DiskAway))
    feed(link, "A", "B")
    settle(loop)
    assert passed_on(link) == [(0, 1.0), (1, 2.0)]
    assert link.call("EXISTS", keys.dead(0, "relay")) == 0


def test_lingering_collects_a_batch_and_a_stop_flushes_it(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(linger_s=3600.0, batch_entries=100))
    loop.step(0)
    feed(link, "A")
    loop.step(0)
    feed(link, "B")
    loop.step(0)
    assert passed_on(link) == []
    assert loop.flush() == 2
    assert passed_on(link) == [(0, 1.0), (0, 2.0)]


def test_a_full_batch_does_not_linger(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(linger_s=3600.0, batch_entries=2))
    feed(link, "A", "B", "C")
    settle(loop, 3)
    assert [number for number, _ in passed_on(link)] == [0, 1]


class Hasty(Relay):
    """Lingers no longer as soon as it has read an entry of B."""

    def see(self, entries: Sequence[Entry]) -> bool:
        return any(isinstance(e.message, RawQuotes) and e.message.quotes[0].symbol == "B" for e in entries)


def test_a_handler_that_sees_a_reason_ends_the_lingering_for_all_in_hand(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop(relay_spec(linger_s=3600.0, batch_entries=100, make_handler=Hasty))
    loop.step(0)
    feed(link, "A")
    loop.step(0)
    assert passed_on(link) == []
    feed(link, "B")
    loop.step(0)
    assert passed_on(link) == [(0, 1.0), (0, 2.0)]
    feed(link, "C")
    loop.step(0)
    assert loop.in_hand == 1  # the reason was used up


def test_a_flushed_redis_is_loud(link: Link, new_loop: NewLoop) -> None:
    loop = new_loop()
    feed(link, "A")
    settle(loop)
    link.call("FLUSHALL")
    with pytest.raises((GroupsLost, Fenced)):
        settle(loop)


def test_a_group_that_cannot_be_created_is_an_error_that_names_the_key(link: Link, new_loop: NewLoop) -> None:
    link.call("SET", RAW.key(0), "x")
    with pytest.raises(Fatal, match=r"\{0\}:raw: expected a stream"):
        new_loop()


def test_a_refused_command_is_named(link: Link) -> None:
    link.call("SET", "k", "v")
    with pytest.raises(CommandRefused, match="WRONGTYPE"):
        link.call("XLEN", "k")


def test_partitions_that_share_a_connection_are_fenced_each(new_link: Callable[[], Link]) -> None:
    shared, other = new_link(), new_link()
    first, second = Fence(shared, 0, "relay"), Fence(shared, 1, "relay")
    first.take()
    second.take()
    first.read([])
    second.read([])
    second.commit([("SET", "{1}:x", "1")])  # its EXEC ends the watch of the first one too
    Fence(other, 0, "relay").take()
    with pytest.raises(Fenced):
        first.commit([("SET", "{0}:x", "1")])


def test_a_new_epoch_on_the_same_connection_is_not_taken_for_another_instance(link: Link) -> None:
    fence = Fence(link, 0, "relay")
    fence.take()
    fence.read([])
    fence.take()
    assert fence.commit([("SET", "{0}:x", "1")]) == [b"OK"]
