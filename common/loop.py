"""Run a stage: one process, one connection, the partitions that its supervisor gave it."""

import signal
import time
from contextlib import suppress
from itertools import cycle
from pathlib import Path

import structlog

from common import clock
from common.arrivals import Arrivals
from common.errors import Fatal, Fenced, PipelineError, Retryable
from common.fence import EpochLost
from common.garbage import Garbage
from common.heartbeat import Heartbeat
from common.housekeeping import ANSWERS, lag_s, over_budget, trim
from common.metrics import Metrics
from common.partition_count import claim_partitions
from common.partition_loop import PartitionLoop, Stopped
from common.reader import GroupsLost
from common.redis_link import Link, open_link
from common.settings import Settings
from common.stage import StageSpec

log = structlog.get_logger()

BLOCK_MS = 500  # a heartbeat a second, and SIGTERM is heard in time
LINGER_MS = 20  # the same where several partitions take turns and one lingers
HOUSEKEEPING_S = 1.0  # for each partition; they take turns, so that none waits for all of them
RECONNECT_FIRST_S, RECONNECT_LONGEST_S = 0.1, 2.0


class StageRunner:
    """All partitions of one process, and what goes on beside them."""

    def __init__(
        self,
        spec: StageSpec,
        settings: Settings,
        metrics: Metrics,
        link: Link | None = None,
        garbage: Garbage | None = None,
    ) -> None:
        """garbage: the process's, where this is all that it does."""
        self.spec, self._settings = spec, settings
        self._link = link or open_link(settings)
        self.metrics = metrics
        self.stopping = False
        self._status, self._message = "ok", ""
        instance = settings.instance or spec.name
        self._heartbeat = Heartbeat(self._store, spec.name, instance, self.metrics)
        folder = Path(settings.state_dir) / "dead-letters"
        # The consumer's name is the stage's, not the process's: which process serves a partition may change, and what
        # the one before has read is then still the partition's own backlog. That there is but one is the fence's work.
        self._loops = [
            PartitionLoop(spec, partition, self._link, spec.name, self.metrics, folder, self.pause)
            for partition in settings.partitions
        ]
        self._arrivals = Arrivals(self._link, [loop.reader for loop in self._loops])
        self._house = cycle(self._loops)
        self._housekeeping_due = 0.0
        self._full: dict[int, list[str]] = {}
        """By partition the streams that are at their budget."""
        self._garbage = garbage
        self._opened = False

    def run(self) -> None:
        """Work until told to stop. Redis may come late, go away and come back; anything Fatal is raised."""
        pause_s = RECONNECT_FIRST_S
        while not self.stopping:
            try:
                self._open()
                pause_s = RECONNECT_FIRST_S
                self._work()
            except Retryable as e:
                log.warning("redis.away", stage=self.spec.name, error=str(e), retry_in_s=pause_s)
                self.metrics.count("md_reconnects_total")
                self._sleep(pause_s)
                self._make_room()
                pause_s = min(pause_s * 2, RECONNECT_LONGEST_S)
            except (GroupsLost, EpochLost) as e:
                log.error("redis.groups_lost", stage=self.spec.name, error=str(e))
            except Stopped:
                break
        log.info("stage.stopped", stage=self.spec.name)

    @property
    def where(self) -> str:
        """The Redis that it works on."""
        return self._link.where

    @property
    def held_back(self) -> list[str]:
        """The streams whose budget keeps it from working."""
        return sorted({name for names in self._full.values() for name in names})

    def stop(self, *_: object) -> None:
        """Ask for the end: the batch in hand is finished first."""
        self.stopping = True

    def pause(self, seconds: float) -> None:
        """Wait for something that is away; Stopped if the end is asked for meanwhile."""
        self._status, self._message = "degraded", "a batch can't be handled now: the log says why"
        self._beat()
        self._sleep(seconds)
        if self.stopping:
            raise Stopped("asked to stop while waiting")

    def _make_room(self) -> None:
        """Trim though the stage can't work: a Redis without memory gets some back, and with it everybody goes on."""
        if not self.stopping:
            with suppress(PipelineError):
                for loop in self._loops:
                    trim(self._link, self.spec.outputs, loop.partition, self._settings.stream_budget)

    def _open(self) -> None:
        claim_partitions(self._link, self._settings.stream_partitions)
        for loop in self._loops:
            loop.open()
        self._status, self._message = "ok", ""
        log.info(
            "stage.ready", stage=self.spec.name, partitions=list(self._settings.partitions), redis=self._link.where
        )
        self._housekeeping_due = 0.0
        self._opened = True

    def _work(self) -> None:
        for loop in self._loops:
            self._look_after(loop)
        while not self.stopping:
            if any(self._full.values()):
                self._sleep(0.2)
            else:
                self._garbage_after(self._turn())
            self._keep_house()
        for loop in self._loops:
            loop.flush()
        self._beat()

    def _turn(self) -> bool:
        """Let every partition have its turn, and wait if none had anything to do; tell whether one had."""
        block_ms = BLOCK_MS if len(self._loops) == 1 else 0
        settled = [loop.step(block_ms) for loop in self._loops]
        if any(settled):
            self._status, self._message = "ok", ""
            return True
        if any(loop.unfinished for loop in self._loops):
            return True
        if len(self._loops) > 1:
            self._arrivals.wait(LINGER_MS if any(loop.in_hand for loop in self._loops) else BLOCK_MS)
        return False

    def _garbage_after(self, worked: bool) -> None:
        if self._garbage is None:
            return
        if self._opened and not worked:
            self._opened = False
            self._garbage.settle()  # what the handlers opened stays
        self._garbage.tend(idle=not worked)

    def _keep_house(self) -> None:
        """Look after the next partition, if it is time for it."""
        if time.monotonic() < self._housekeeping_due:
            return
        self._housekeeping_due = time.monotonic() + HOUSEKEEPING_S / len(self._loops)
        self._look_after(next(self._house))
        full = self.held_back
        if full:
            self._status = "degraded"
            self._message = f"held back: {', '.join(full)} at the budget of {self._settings.stream_budget}"
            log.warning("stage.held_back", streams=full, budget=self._settings.stream_budget)
        self._beat()

    def _look_after(self, loop: PartitionLoop) -> None:
        partition = loop.partition
        trim(self._link, self.spec.outputs, partition, self._settings.stream_budget)
        for name, seconds in lag_s(self._link, self.spec.inputs, partition, self.spec.name).items():
            self.metrics.gauge("md_lag_seconds", seconds, stream=name)
        full = over_budget(self._link, self.spec.outputs, partition, self._settings.stream_budget)
        for stream in self.spec.outputs:
            self.metrics.gauge("md_stream_over_budget", float(stream.name in full), stream=stream.name)
        self._full[partition] = [
            stream.name for stream in self.spec.outputs if stream.name in full and stream not in ANSWERS
        ]

    def _beat(self) -> None:
        info: dict[str, object] = {"in_hand": sum(loop.in_hand for loop in self._loops), **self.spec.info()}
        self._heartbeat.beat(clock.wall_ms(), self._status, self._message, info)

    def _store(self, key: str, value: bytes) -> None:
        self._link.call("SET", key, value)

    def _sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.stopping and time.monotonic() < end:
            time.sleep(min(0.05, seconds))


def run_stage(spec: StageSpec, settings: Settings, metrics: Metrics | None = None) -> None:
    """Run the stage until SIGTERM or SIGINT. SystemExit with a logged reason where it can't go on.

    metrics: those that the handlers count in too, so that one heartbeat carries all of the process.
    """
    runner = StageRunner(spec, settings, metrics or Metrics(spec.name), garbage=Garbage())
    signal.signal(signal.SIGTERM, runner.stop)
    signal.signal(signal.SIGINT, runner.stop)
    log.info("stage.starting", stage=spec.name, redis=runner.where)
    try:
        runner.run()
    except Fenced as e:
        log.error("stage.fenced", stage=spec.name, error=str(e))
        raise SystemExit(3) from e
    except Fatal as e:
        log.critical("stage.fatal", stage=spec.name, error=str(e))
        raise SystemExit(1) from e
