"""Read what the script has stored: a breaker's hash, and the newest changes in it."""

from collections.abc import Mapping

from common.breaker.values import BUCKETS, LOG, BreakerView, Bucket, Force, Reason, State, Transition

_SEPARATOR = "\x1f"


def view_of(stored: Mapping[bytes, bytes]) -> BreakerView:
    """Return the breaker that a hash holds (HGETALL as a dict). An empty one is HALF_OPEN: nothing is known."""
    if b"state" not in stored:
        return BreakerView()

    def number(field: bytes) -> int:
        return int(stored.get(field, b"0") or b"0")

    def text(field: bytes) -> str:
        return stored.get(field, b"").decode(errors="replace")

    return BreakerView(
        state=State(text(b"state")),
        failures=number(b"failures"),
        opened_at_ms=number(b"opened_at_ms") or None,
        retry_at_ms=number(b"retry_at_ms") or None,
        last_error=text(b"last_error"),
        transitions=number(b"transitions"),
        lease=number(b"lease"),
        lease_until_ms=number(b"lease_until_ms"),
        changed_at_ms=number(b"changed_at_ms"),
        born_ms=number(b"born_ms"),
        openings=number(b"openings"),
        window=tuple(_bucket(stored[field]) for field in _WINDOW if field in stored),
        force=Force(text(b"force") or Force.AUTO),
        reason=Reason(text(b"reason")) if stored.get(b"reason") else None,
        forced_by=text(b"forced_by"),
        forced_why=text(b"forced_why"),
        forced_at_ms=number(b"forced_at_ms"),
    )


def changes_of(stored: Mapping[bytes, bytes]) -> tuple[Transition, ...]:
    """Return the newest changes that a hash remembers, oldest first; at most LOG."""
    found = [transition_of(stored[field].decode(errors="replace")) for field in _CHANGES if field in stored]
    return tuple(sorted((change for change in found if change is not None), key=lambda change: change.number))


def transition_of(entry: str) -> Transition | None:
    """Return the change that an entry of the hash, or a reply of the script, tells of; None if it is empty."""
    if not entry:
        return None
    number, at_ms, before, after, failures, reason, born_ms, by, why, error = entry.split(_SEPARATOR)
    return Transition(
        State(before), State(after), int(at_ms), int(number), int(failures), error, Reason(reason), by, why,
        int(born_ms),
    )  # fmt: skip


def _bucket(body: bytes) -> Bucket:
    return Bucket(*(int(part) for part in body.decode().split(_SEPARATOR)))


_WINDOW = tuple(f"w{place}".encode() for place in range(BUCKETS))
_CHANGES = tuple(f"c{place}".encode() for place in range(LOG))
