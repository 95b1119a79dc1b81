"""The account that clients trade: its rules and what it has done so far. Where this is kept: api/account_memory.py."""

from collections.abc import Sequence

import msgspec
import structlog
from msgspec import Struct

from common.account.rules import AccountRules, load_rules
from common.account.state import AccountState, begin, joined, limits, observe
from common.errors import Fatal
from common.settings import Settings

log = structlog.get_logger()

SAVE_EVERY_MS = 60_000  # what changes with each poll; the rest is saved at once


class Saved(Struct, frozen=True):
    """The state of one account, which its name and start balance tell from another."""

    account: str
    state: AccountState


class AccountBook:
    """The state of the account. One writer: the event loop. Without rules it remembers nothing."""

    def __init__(self, settings: Settings) -> None:
        self.rules: AccountRules | None = load_rules(settings.account_rules)
        self.state: AccountState | None = None
        """None: no equity was observed yet."""
        self.unknown = "" if self.rules is None else "it was not looked for yet"
        """Why it isn't known what the account did before; empty if it is. Until then nothing is observed."""
        self.reached: list[str] = []
        """Limits that were reached and are not in the history yet."""
        self._start = settings.account_start_balance
        self.account = f"{settings.account_id}|{self._start!r}"
        if self.rules is not None and not self._start:
            raise Fatal("ACCOUNT_START_BALANCE: expected the balance that ACCOUNT_RULES counts from, found nothing")

    def take_up(self, copies: Sequence[Saved]) -> None:
        """Go on from what was saved of this account, anywhere; without a copy it begins with the next observation."""
        own = [saved.state for saved in copies if saved.account == self.account]
        self.state = joined(own) if own else None
        self.unknown = ""

    def observe(self, equity: float, at_ms: int, balance: float | None, flat: bool) -> bool:
        """Take up an observation of the equity, and tell whether it moved a limit, which must not be lost.

        at_ms: stream time. flat: no position is open.
        """
        if self.rules is None or self.unknown:
            return False
        known = self.state
        if known is None:  # it would agree with itself, and one number alone must not block for good
            first = begin(self.rules, self._start, equity, at_ms)
            self.state = first if balance is None else msgspec.structs.replace(first, balance=balance, told_ms=at_ms)
            return True
        self.state = observe(known, self.rules, equity, at_ms, balance, flat)
        for reason in sorted(self.state.blocked.keys() - known.blocked.keys()):
            self.reached.append(reason)
            log.warning("account.limit_reached", reason=reason, equity=equity)
        return turned(self.state, known) or limits(self.state, self.rules) != limits(known, self.rules)

    def saved(self) -> Saved | None:
        """Return what is to be saved; None if nothing was observed yet."""
        return None if self.state is None else Saved(self.account, self.state)


def turned(state: AccountState, before: AccountState | None) -> bool:
    """Tell whether a day began, or a limit was reached: what is kept at once, everywhere."""
    if before is None:
        return True
    return (state.blocked, state.reset_ms, state.anchor) != (before.blocked, before.reset_ms, before.anchor)


def is_due(state: AccountState, saved: AccountState | None) -> bool:
    """Tell whether a copy is so far behind that it must be written anew."""
    if saved is None:
        return True
    unlike = msgspec.structs.replace(
        saved, equity=state.equity, balance=state.balance, seen_ms=state.seen_ms, told_ms=state.told_ms
    )
    return unlike != state or abs(state.seen_ms - saved.seen_ms) >= SAVE_EVERY_MS
