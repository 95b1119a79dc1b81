"""Where the account's state is kept: in the journal, in Redis and in SQLite, so that any of them may be lost.

Each copy is written when what must last has changed. Redis has every second beside, journal and SQLite every minute.
At the start the copies are joined. Where journal and Redis have none, SQLite must be asked before the account may begin
anew: a limit that was reached yesterday, or this morning, is not forgotten because a file is gone.
"""

import asyncio

import msgspec
import structlog

from api.account import AccountBook, Saved, is_due, turned
from api.errors import ApiError
from api.journal import Journal
from api.ledger import ACCOUNT_STATE, Ledger
from api.redis_pool import RedisPool
from common import keys
from common.account.state import AccountState
from common.errors import Fatal, PipelineError, Retryable
from common.history import History

log = structlog.get_logger()

LATEST = "account"
"""The name under which the journal keeps the state."""
FAR_MS = 2**53
MOST_READ = 500
"""Copies in SQLite that are looked through for one of this account: hours of another one's."""


class AccountMemory:
    """Reads the copies once, and writes them."""

    def __init__(self, book: AccountBook, journal: Journal, pool: RedisPool, history: History, ledger: Ledger) -> None:
        self._book, self._journal, self._pool = book, journal, pool
        self._history, self._ledger = history, ledger
        self._in_journal: AccountState | None = None
        self._in_history: AccountState | None = None
        # Beginning anew would forget a limit that was reached: a file that can't be read is for an operator to decide.
        self._found = _decoded(journal.latest(LATEST), "the journal's copy") if book.rules is not None else None

    async def recall(self) -> None:
        """Find out what the account did before; leave it unknown, and say why, where that can't be told yet."""
        book = self._book
        if not book.unknown:
            return
        try:
            copies = await self._copies()
        except (PipelineError, msgspec.MsgspecError) as e:
            if book.unknown != str(e):
                log.warning("account.unknown", why=str(e))
            book.unknown = str(e)
            return
        book.take_up(copies)
        log.info("account.taken_up", copies=len(copies), known=book.state is not None)

    async def keep(self, wall_ms: int, *, at_once: bool = False) -> None:
        """Write each copy that is due; Redis's always is, for it may have been emptied. Retryable if one can't be.

        at_once: journal and SQLite only where a day began, or a limit was reached.
        """
        saved, due = self._book.saved(), turned if at_once else is_due
        if saved is None:
            return
        body, state = msgspec.json.encode(saved), saved.state
        failed: Retryable | None = None
        try:
            await self._pool.exchange([("SET", keys.ACCOUNT, body)])
        except Retryable as e:  # a cancellation ends it here: an error in its place would have its task go on
            failed = e
        if due(state, self._in_journal):
            await asyncio.to_thread(self._journal.put_latest, LATEST, body)
            self._in_journal = state
        if due(state, self._in_history):
            await self._ledger.account_is(saved.account, msgspec.to_builtins(saved), state.seen_ms, wall_ms)
            self._in_history = state
        if failed is not None:
            raise failed

    async def keep_at_once(self, wall_ms: int) -> None:
        """Write what an observation has just moved, before anybody is answered. What fails is tried each second."""
        try:
            await self.keep(wall_ms, at_once=True)
        except (Retryable, ApiError) as e:
            log.warning("account.not_kept", why=str(e))

    def keep_at_the_end(self) -> None:
        """Write the journal's copy, without waiting for anybody."""
        saved = self._book.saved()
        try:
            if saved is not None:
                self._journal.put_latest(LATEST, msgspec.json.encode(saved))
        except Retryable as e:
            log.warning("account.not_kept", why=str(e))

    async def _copies(self) -> list[Saved]:
        """Return what journal and Redis have of this account; of neither, what SQLite has."""
        reply = (await self._pool.exchange([("GET", keys.ACCOUNT)]))[0]
        in_redis = _decoded(reply if isinstance(reply, bytes) else None, f"{keys.ACCOUNT} in Redis")
        copies = [saved for saved in (self._found, in_redis) if saved is not None]
        if any(saved.account == self._book.account for saved in copies):
            return copies
        return await asyncio.to_thread(self._in_sqlite)

    def _in_sqlite(self) -> list[Saved]:
        """Return the newest copy of this account. It blocks."""
        events = self._history.client_events(ACCOUNT_STATE, FAR_MS, MOST_READ)
        found = [msgspec.convert(event.body, Saved) for event in events]
        return [saved for saved in found if saved.account == self._book.account][-1:]


def _decoded(body: bytes | None, what: str) -> Saved | None:
    try:
        return None if body is None else msgspec.json.decode(body, type=Saved)
    except msgspec.MsgspecError as e:
        raise Fatal(f"ACCOUNT_ID: {what} of the account's state can't be read ({e}); another id begins anew") from e
