"""Every change of a breaker is told exactly once, whoever made it, however often the collector dies."""

from pathlib import Path

import redis
import structlog

from collector.events import Events
from common import keys
from common.breaker import Breaker, Force, Rules, State
from common.keys import SOURCE_EVENTS
from common.messages import SourceEvent, decode
from common.metrics import Metrics
from common.redis_link import Link, flat_pairs
from tests.collector.kit import T0, FaultServer
from tests.collector.test_network import Host, World, always_open, host
from tests.collector.test_runtime import counting, until
from tests.conftest import RedisServer

__all__ = ["always_open"]

STREAM, STATE = SOURCE_EVENTS.key(0), keys.state(0, "collector")


class Life:
    """One life of a collector, as far as events go."""

    def __init__(self, link: Link, *, tells_breakers: bool = True) -> None:
        self.link, self.metrics = link, Metrics("collector")
        self.breaker = Breaker(link, "s", Rules(), lambda _: 0.0)
        self.events = Events(self.metrics, tells_breakers=tells_breakers)
        self.events.restore(flat_pairs(link.call("HGETALL", STATE)))

    def look(self) -> None:
        self.events.breaker("s", self.breaker.stored())

    def commit(self) -> None:
        commands = self.events.commands(STREAM, STATE)
        self.link.exchange([("MULTI",), *commands, ("EXEC",)])
        self.events.committed(len(self.events.pending))


def told(link: Link) -> list[SourceEvent]:
    entries = link.call("XRANGE", STREAM, "-", "+")
    found = [decode(fields[1]) for _, fields in entries]  # type: ignore[union-attr, misc, index, arg-type]
    return [message for message in found if isinstance(message, SourceEvent)]


def numbers(link: Link) -> list[object]:
    return [event.fields["number"] for event in told(link)]


def test_a_change_that_somebody_else_made_is_told_once(link: Link) -> None:
    life = Life(link)
    life.breaker.force(Force.OPEN, "ann", "bad prices", T0)
    for _ in range(3):
        life.look()
        life.commit()
    (event,) = told(link)
    assert (event.source, event.event, event.at_ms, event.detail) == ("s", "breaker.forced_open", T0, "bad prices")
    assert event.fields == {
        "before": "HALF_OPEN", "after": "OPEN", "reason": "forced_open", "failures": 0, "number": 1, "by": "ann",
        "why": "bad prices",
    }  # fmt: skip


def test_a_life_that_died_before_its_commit_leaves_it_to_the_next_one(link: Link) -> None:
    life = Life(link)
    life.breaker.force(Force.OPEN, "ann", "", T0)
    life.look()  # and dies
    again = Life(link)
    again.look()
    again.commit()
    Life(link).look()
    assert numbers(link) == [1]


def test_what_happened_while_no_collector_ran_is_told_in_order(link: Link) -> None:
    life = Life(link)
    life.breaker.force(Force.OPEN, "ann", "", T0)
    life.look()
    life.commit()
    for n, word in enumerate((Force.CLOSED, Force.AUTO, Force.OPEN)):
        life.breaker.force(word, "bob", "", T0 + n)
    again = Life(link)
    again.look()
    again.commit()
    assert numbers(link) == [1, 2, 3, 4]
    assert [event.event for event in told(link)] == [
        "breaker.forced_open", "breaker.forced_closed", "breaker.reset", "breaker.forced_open",
    ]  # fmt: skip


def test_a_change_of_our_own_right_after_somebody_elses_is_told_after_it(link: Link) -> None:
    life = Life(link)
    life.breaker.force(Force.AUTO, "ann", "", T0)
    ours = life.breaker.record_success(life.breaker.admit(T0), T0 + 1)
    assert not life.events.transition("s", ours), "there is one before it"
    life.look()
    assert life.events.transition("s", life.breaker.force(Force.OPEN, "ann", "", T0 + 2))
    life.commit()
    assert numbers(link) == [1, 2, 3]


def test_a_breaker_whose_hash_was_lost_begins_its_count_anew(link: Link) -> None:
    life = Life(link)
    for n, word in enumerate((Force.CLOSED, Force.OPEN)):
        life.breaker.force(word, "ann", "", T0 + n)
    life.look()
    link.call("DEL", keys.breaker("s"))
    for n, word in enumerate((Force.AUTO, Force.CLOSED, Force.OPEN)):
        life.breaker.force(word, "ann", "", T0 + 10 + n)
    life.look()
    life.commit()
    assert numbers(link) == [1, 2, 1, 2, 3]
    assert len({event.id for event in told(link)}) == 5


def test_of_several_collectors_one_tells(link: Link) -> None:
    other = Life(link, tells_breakers=False)
    other.events.transition("s", other.breaker.force(Force.OPEN, "ann", "", T0))
    other.look()
    assert other.events.pending == []
    life = Life(link)
    life.look()
    life.commit()
    assert numbers(link) == [1]


def test_it_is_in_the_log_and_the_metrics_too_also_after_a_lost_connection(link: Link) -> None:
    life = Life(link)
    life.breaker.force(Force.OPEN, "ann", "bad prices", T0)
    with structlog.testing.capture_logs() as lines:
        life.look()
        life.events.restore({})  # Redis was away: it is not known whether it was committed
        life.look()
    assert [(line["event"], line["by"], line["why"], line["log_level"]) for line in lines] == [
        ("breaker.forced_open", "ann", "bad prices", "warning")
    ]
    (counted,) = life.metrics.snapshot().counters
    assert (counted.labels, counted.value) == ({"source": "s", "state": "OPEN"}, 1)


def test_other_events_are_kept_over_a_lost_connection(link: Link) -> None:
    life = Life(link)
    life.events.quota("s", "quota.spent", T0, "lost")
    life.look()
    life.events.restore({})
    life.commit()
    assert [event.event for event in told(link)] == ["quota.spent"]


async def test_a_forced_breaker_is_obeyed_and_told_by_the_running_collector(
    server: FaultServer, redis_server: RedisServer, redis_client: redis.Redis, tmp_path: Path
) -> None:
    server.behave = counting(server)
    breaker = Breaker(redis_server.link(), "plain", Rules())
    async with host(server._handle) as vendor:
        world = World(vendor, Host(), redis_server, tmp_path)
        async with world.collecting():
            await until(lambda: world.breaker().state is State.CLOSED)
            breaker.force(Force.OPEN, "ann", "bad prices", world.breaker().changed_at_ms)
            await until(lambda: "breaker.forced_open" in world.names())
            await until(lambda: world.counted("md_breaker_forced", source="plain") == 2)
            heard = len(server.heard)
            cycle = world.cycle()
            await until(lambda: world.cycle() > cycle + 5)
            assert len(server.heard) == heard
        breaker.force(Force.AUTO, "ann", "good again", world.breaker().changed_at_ms + 1)
        async with world.collecting():
            await until(lambda: world.breaker().state is State.CLOSED)
            await until(lambda: world.names().count("breaker.closed") == 2)
    assert world.names() == ["breaker.closed", "breaker.forced_open", "breaker.reset", "breaker.closed"]
