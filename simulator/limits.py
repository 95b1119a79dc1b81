"""The vendors' real free allowances, counted in simulated time."""

from collections import deque
from typing import Protocol

SECOND_MS = 1000
MINUTE_MS = 60_000
DAY_MS = 86_400_000


class Limit(Protocol):
    """How often a vendor answers."""

    def admit(self, now_ms: int, credits_: int = 1) -> str | None:
        """Count a call; return None if it is within the allowance, else which window is used up."""
        ...


class Unlimited:
    """Every call is answered."""

    def admit(self, now_ms: int, credits_: int = 1) -> str | None:  # noqa: ARG002  # the Limit protocol
        """Return None."""
        return None


class Windows:
    """Allowances per clock window (minute, UTC day), shortest first. Refused calls count where the vendor does so."""

    def __init__(self, allowances: tuple[tuple[str, int, int], ...], *, count_refused: bool) -> None:
        self._allowances = allowances  # name, length in ms, calls or credits
        self._count_refused = count_refused
        self._window = [-1] * len(allowances)
        self.used = [0] * len(allowances)

    def _roll(self, now_ms: int) -> None:
        for place, (_, length_ms, _) in enumerate(self._allowances):
            window = now_ms // length_ms
            if window > self._window[place]:  # never back: the position may step back by a cycle
                self._window[place] = window
                self.used[place] = 0

    def admit(self, now_ms: int, credits_: int = 1) -> str | None:
        """Count the credits in every window, the refused ones too where the vendor does so."""
        self._roll(now_ms)
        refused = next(
            (
                name
                for (name, _, limit), used in zip(self._allowances, self.used, strict=True)
                if used + credits_ > limit
            ),
            None,
        )
        if refused is None or self._count_refused:
            self.used = [used + credits_ for used in self.used]
        return refused


class Paced:
    """A pause between calls, and an allowance a day (Alpha Vantage: 1 a second, 25 a day)."""

    def __init__(self, pause_ms: int, per_day: int) -> None:
        self._pause_ms = pause_ms
        self._day = Windows((("day", DAY_MS, per_day),), count_refused=False)
        self._last_ms = -pause_ms

    def admit(self, now_ms: int, credits_: int = 1) -> str | None:
        """Return "second" for a call too soon after an answered one, "day" when the day's calls are gone."""
        if now_ms - self._last_ms < self._pause_ms:
            return "second"
        refused = self._day.admit(now_ms, credits_)
        if refused is None:
            self._last_ms = now_ms
        return refused


class Block:
    """Too many calls in a sliding window block the address for a while (Yahoo: about 40 in 40 minutes, 15 and more)."""

    def __init__(self, calls: int, window_ms: int, pause_ms: int) -> None:
        self._calls = calls
        self._window_ms = window_ms
        self._pause_ms = pause_ms
        self._times: deque[int] = deque()
        self._blocked_until_ms = 0

    def admit(self, now_ms: int, credits_: int = 1) -> str | None:  # noqa: ARG002  # the Limit protocol
        """Return "blocked" from the call that is one too many until the pause is over."""
        if now_ms < self._blocked_until_ms:
            return "blocked"
        while self._times and self._times[0] <= now_ms - self._window_ms:
            self._times.popleft()
        if len(self._times) >= self._calls:
            self._blocked_until_ms = now_ms + self._pause_ms
            self._times.clear()
            return "blocked"
        self._times.append(now_ms)
        return None
