"""The account that clients trade: its rules, what it has done so far, and that this outlives the process."""

import msgspec
import structlog
from msgspec import Struct

from api.journal import Journal
from common.account.rules import AccountRules, load_rules
from common.account.state import AccountState, begin, observe
from common.errors import Fatal
from common.settings import Settings

log = structlog.get_logger()

LATEST = "account"
"""The name under which the journal keeps the state."""
SAVE_EVERY_MS = 60_000  # what changes with each poll; the rest is saved at once


class Saved(Struct, frozen=True):
    """The state of one account, which its name and start balance tell from another."""

    account: str
    state: AccountState


class AccountBook:
    """The state of the account. One writer: the event loop. Without rules it remembers nothing."""

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self.rules: AccountRules | None = load_rules(settings.account_rules)
        self.state: AccountState | None = None
        """None: no equity was observed yet."""
        self.reached: list[str] = []
        """Limits that were reached and are not in the history yet."""
        self._start = settings.account_start_balance
        self._account = f"{settings.account_id}|{self._start!r}"
        self._journal = journal
        self._saved: AccountState | None = None
        if self.rules is not None and not self._start:
            raise Fatal("ACCOUNT_START_BALANCE: expected the balance that ACCOUNT_RULES counts from, found nothing")
        if self.rules is not None:
            self._restore()

    def observe(self, equity: float, at_ms: int, balance: float | None, flat: bool) -> None:
        """Take up an observation of the equity. at_ms: stream time. flat: no position is open."""
        if self.rules is None:
            return
        before = self.state or begin(self.rules, self._start, equity, at_ms)
        self.state = observe(before, self.rules, equity, at_ms, balance, flat)
        for reason in sorted(self.state.blocked.keys() - before.blocked.keys()):
            self.reached.append(reason)
            log.warning("account.limit_reached", reason=reason, equity=equity)

    def to_save(self) -> bytes | None:
        """Return what must be saved now; None if nothing must. It counts as saved then."""
        state, saved = self.state, self._saved
        if state is None or (saved is not None and not _differs(state, saved)):
            return None
        self._saved = state
        return msgspec.json.encode(Saved(self._account, state))

    def save(self) -> None:
        """Save what must be. Retryable if the disk says no; the next call tries again."""
        before = self._saved
        body = self.to_save()
        if body is None:
            return
        try:
            self._journal.put_latest(LATEST, body)
        except BaseException:
            self._saved = before
            raise

    def _restore(self) -> None:
        body = self._journal.latest(LATEST)
        try:
            saved = None if body is None else msgspec.json.decode(body, type=Saved)
        except msgspec.MsgspecError as e:
            # Beginning anew would forget a limit that was reached: that is for an operator to decide.
            raise Fatal(
                f"ACCOUNT_ID: the saved state of the account can't be read ({e}); another id begins anew"
            ) from e
        if saved is not None and saved.account == self._account:
            self.state = self._saved = saved.state


def _differs(state: AccountState, saved: AccountState) -> bool:
    unlike = msgspec.structs.replace(saved, equity=state.equity, balance=state.balance, seen_ms=state.seen_ms)
    return unlike != state or abs(state.seen_ms - saved.seen_ms) >= SAVE_EVERY_MS
