"""One partition of a stage: read, handle, commit; and what it does when something of that fails."""

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import structlog

from common import keys
from common.dead_letters import dead_letter, hold, issue_held
from common.errors import Fatal, PipelineError, Retryable
from common.fence import ExecFailed, Fence
from common.key_types import check_types
from common.keys import FIELD, Stream
from common.messages import encode
from common.metrics import Metrics
from common.reader import Read, Reader, Undecodable
from common.redis_link import Command, Link, RedisAway, Reply
from common.stage import Batch, Entry, Outcome, StageSpec, Unfinished, Watchful

log = structlog.get_logger()

# An entry is poison after failing alone this often; recorded failures, not deliveries (reading history raises those).
FAILURE_LIMIT = 3
# So many poison entries with no success between them: the code is wrong, not the data.
POISON_LIMIT = 10
RETRY_FIRST_S, RETRY_LONGEST_S = 0.1, 2.0

Suspect = tuple[Entry | Undecodable, int, Exception]
"""What failed, how often, and how at last."""


class Stopped(PipelineError):
    """SIGTERM or SIGINT came while waiting: what is in hand stays pending."""


class PartitionLoop:
    """One partition of a stage: its fence, its handler, and what it has in hand."""

    def __init__(
        self,
        spec: StageSpec,
        partition: int,
        link: Link,
        consumer: str,
        metrics: Metrics,
        folder: Path,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`folder` takes what a half-failed transaction leaves.

        pause: waits so many seconds (0: only beats the heart); Stopped if the end is asked for.
        """
        self.spec, self.partition = spec, partition
        self._link, self._metrics, self._folder, self._pause = link, metrics, folder, pause
        self.fence = Fence(link, partition, spec.name)
        self.reader = Reader(link, self.fence, spec.inputs, partition, spec.name, consumer)
        self._handler = spec.make_handler(partition)
        # Asked once: looking a protocol up takes longer than a small batch.
        self._watchful = self._handler if isinstance(self._handler, Watchful) else None
        self._puts_off = self._handler if isinstance(self._handler, Unfinished) else None
        self._backlog_done = False
        self._suspects: dict[str, Suspect] = {}
        self._failed: set[str] = set()
        self._hand: list[Entry] = []
        self._hand_since = 0.0
        self._hurry = False

    # -- start -------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take the partition over: a new epoch, what failed half at the last time, the committed state, the backlog."""
        self._hand, self._suspects, self._backlog_done = [], {}, False
        check_types(self._link, self.spec.key_types(self.partition))
        self._link.call("SET", keys.incarnation(self.partition), secrets.token_hex(8), "NX")
        self.fence.take()
        self.reader.create_groups()
        issue_held(self._folder, self.fence, self.spec.name, self.partition)
        names = self._link.call("HKEYS", keys.failures(self.partition, self.spec.name))
        self._failed = {name.decode() for name in cast(list[bytes], names)}
        self._restore()

    def _restore(self) -> None:
        outcome = self._handler.restore(self._link)
        if outcome.publish or outcome.writes:
            self._commit(outcome, ())

    # -- the step ----------------------------------------------------------------------------------

    def step(self, block_ms: int) -> int:
        """Read once, handle and commit what is due. Returns the number of entries that were settled."""
        read = self._read(0 if self.unfinished else block_ms)
        if self._backlog_done and read.pending > self.in_hand + len(read.names()):
            self.drain_strays()
            return 0
        self._set_aside(read)
        settled = 0
        if self._hand and self._due(read):
            settled = self.flush()
        elif self.unfinished:
            self._commit(self._handle(()), ())
        if not self._hand:
            self._stop_where_all_is_poison(list(self._suspects.values()))
        return settled

    def flush(self) -> int:
        """Handle and commit what is in hand, lingering or not, and return how many entries that was."""
        hand, self._hand, self._hurry = tuple(self._hand), [], False
        for first in range(0, len(hand), self.spec.batch_entries):
            last = min(first + self.spec.batch_entries, len(hand))
            left = self._process(hand[first:last])
            if left:
                return self._put_back((*left, *hand[last:]), len(hand))
        return len(hand)

    def _put_back(self, left: Batch, of: int) -> int:
        """Take into hand again what there was no time for; return how many of so many were settled.

        Of a backlog nothing: it is read again.
        """
        self._hand, self._hurry = list(left) if self._backlog_done else [], True
        return of - len(left)

    @property
    def in_hand(self) -> int:
        """Entries that were read and are neither acknowledged nor given up."""
        return len(self._hand) + len(self._suspects)

    @property
    def unfinished(self) -> bool:
        """Whether the handler has put work off."""
        return self._puts_off is not None and self._puts_off.unfinished

    def drain_strays(self) -> None:
        """Go back to the backlog: under our own name stand entries that a fenced-off instance has read.

        They are older than the news in hand, which stays pending and comes again after them.
        """
        self._hand, self._backlog_done = [], False

    def _read(self, block_ms: int) -> Read:
        room = self.spec.batch_entries - len(self._hand)
        if not self._backlog_done:
            read = self.reader.backlog(self.spec.batch_entries + len(self._suspects))
            self._backlog_done = not read.vanished and read.names() <= self._suspects.keys()
            return read
        if self._hand:
            left_ms = int((self.spec.linger_s - (time.monotonic() - self._hand_since)) * 1000)
            block_ms = max(0, min(block_ms, left_ms))
        return self.reader.news(max(1, room), block_ms)

    def _set_aside(self, read: Read) -> None:
        if read.entries and not self._hand:
            self._hand_since = time.monotonic()
        fresh = [e for e in read.entries if e.name not in self._suspects]
        self._hand.extend(fresh)
        if fresh and self._watchful is not None and self._watchful.see(fresh):
            self._hurry = True
        for poison in read.undecodable:
            self._suspect(poison, 1, Fatal(poison.detail))
        if read.vanished:
            names = [f"{stream.name} {entry_id}" for stream, entry_id in read.vanished]
            log.error("stage.entries_vanished", partition=self.partition, entries=names)
            self._commit(Outcome(), (), read.vanished)

    def _due(self, read: Read) -> bool:
        lingered = time.monotonic() - self._hand_since >= self.spec.linger_s
        full = len(self._hand) >= self.spec.batch_entries
        urgent = any(entry.stream in self.spec.urgent for entry in read.entries)
        return lingered or full or urgent or self._hurry or not self._backlog_done

    # -- handling ----------------------------------------------------------------------------------

    def _process(self, batch: Batch) -> Batch:
        """Handle and commit; return the entries that the handler had no time for."""
        started = time.perf_counter()
        try:
            outcome = self._handle(batch)
            settled = batch[: outcome.entries]
            self._commit(outcome, settled)
        except (Retryable, Fatal, Stopped):
            raise
        except Exception as e:  # noqa: BLE001  # the one broad except: what a handler does wrong counts against its entries
            self._isolate(batch, e)
            return ()
        self._metrics.count("md_batches_total")
        self._metrics.observe("md_batch_seconds", time.perf_counter() - started)
        if settled:
            self._settle_suspects()
        return batch[len(settled) :]

    def _process_all(self, batch: Batch) -> None:
        while batch:
            batch = self._process(batch)

    def _handle(self, batch: Batch) -> Outcome:
        """Handle the batch, as often as it takes while what the handler needs (the disk) is away."""
        pause_s = RETRY_FIRST_S
        while True:
            try:
                return self._handler.handle(batch)
            except RedisAway:
                raise
            except Retryable as e:
                log.warning("stage.retrying", stage=self.spec.name, entries=len(batch), error=str(e), pause_s=pause_s)
                self._metrics.count("md_retries_total")
            self._pause(pause_s)
            pause_s = min(pause_s * 2, RETRY_LONGEST_S)
            self.fence.read([])  # nothing is waited for, nor written, by an instance that was overtaken
            self._restore()

    def _isolate(self, batch: Batch, error: Exception) -> None:
        """Find the poison: halve the batch until it stands alone, from the committed state each time."""
        self._pause(0)
        self._restore()
        if len(batch) > 1:
            middle = len(batch) // 2
            self._process_all(batch[:middle])
            self._process_all(batch[middle:])
            return
        entry = batch[0]
        key = keys.failures(self.partition, self.spec.name)
        failed = cast(int, self.fence.commit([("HINCRBY", key, entry.name, 1)])[0])
        self._failed.add(entry.name)
        trace = error if failed == 1 else None
        log.warning("stage.entry_failed", entry=entry.name, failures=failed, error=repr(error), exc_info=trace)
        if failed < FAILURE_LIMIT:
            self._process_all(batch)
        else:
            self._suspect(entry, failed, error)
            # Without the undecodable ones, that may be older: this batch may still hold the success that settles them.
            self._stop_where_all_is_poison([s for s in self._suspects.values() if isinstance(s[0], Entry)])

    def _suspect(self, poison: Entry | Undecodable, failed: int, error: Exception) -> None:
        self._suspects.setdefault(poison.name, (poison, failed, error))

    def _stop_where_all_is_poison(self, suspects: Sequence[Suspect]) -> None:
        if len(suspects) >= POISON_LIMIT:
            poison, _, error = suspects[-1]
            raise Fatal(
                f"{self.spec.name}: {len(suspects)} entries failed one after the other and none succeeded; they stay"
                f" pending, the code or its configuration is wrong. The last: {poison.name}: {error!r}"
            )

    def _settle_suspects(self) -> None:
        """Dead-letter the suspects: another entry succeeded, so it was the data."""
        if not self._suspects:
            return
        suspects, self._suspects = list(self._suspects.values()), {}
        commands: list[Command] = []
        for poison, failed, error in suspects:
            commands += [
                dead_letter(self.partition, self.spec.name, poison, failed, error),
                ("HDEL", keys.failures(self.partition, self.spec.name), poison.name),
                ("XACK", poison.stream.key(self.partition), self.reader.group, poison.id),
            ]
            log.error("stage.dead_lettered", stream=poison.stream.name, entry=poison.id, error=str(error))
        self._execute(commands, [poison for poison, _, _ in suspects])
        self._failed -= {poison.name for poison, _, _ in suspects}
        self._metrics.count("md_dead_letters_total", len(suspects))

    # -- the commit --------------------------------------------------------------------------------

    def _commit(self, outcome: Outcome, batch: Batch, vanished: Sequence[tuple[Stream, str]] = ()) -> None:
        """Results, state and acknowledgement in one transaction."""
        commands: list[Command] = [
            ("XADD", p.stream.key(self.partition), "*", FIELD, encode(p.message)) for p in outcome.publish
        ]
        commands += outcome.writes
        commands += self._acknowledgements(batch, vanished)
        recovered = [entry.name for entry in batch if entry.name in self._failed]
        if recovered:
            commands.append(("HDEL", keys.failures(self.partition, self.spec.name), *recovered))
        if not commands:
            return
        self._execute(commands, batch)
        self._failed -= set(recovered)
        for entry in batch:
            self._metrics.count("md_entries_total", stream=entry.stream.name)

    def _execute(self, commands: Sequence[Command], batch: Sequence[Entry | Undecodable]) -> list[Reply]:
        """Execute a transaction that ends entries: what fails inside it exists nowhere else, and is held."""
        try:
            return self.fence.commit(commands)
        except ExecFailed as e:
            path = hold(self._folder, self.spec.name, self.partition, self.fence.epoch, batch, e)
            raise Fatal(f"{e}; what failed is kept in {path} and is issued again at the next start") from e

    def _acknowledgements(self, batch: Batch, vanished: Sequence[tuple[Stream, str]]) -> list[Command]:
        ids: dict[str, list[str]] = {}
        for stream, entry_id in [*((e.stream, e.id) for e in batch), *vanished]:
            ids.setdefault(stream.key(self.partition), []).append(entry_id)
        return [("XACK", key, self.reader.group, *entry_ids) for key, entry_ids in ids.items()]
