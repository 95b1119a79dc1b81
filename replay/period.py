"""Times as the operator writes them, and as the report shows them."""

import re
from datetime import UTC, datetime

from common.errors import Fatal

END_OF_TIME_MS = 2**62
UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def period(from_: str, to: str) -> tuple[int, int]:
    """Return [from_ms, to_ms); an empty text is the beginning or the end of all times. Fatal names what is wrong."""
    from_ms = instant("FROM", from_) if from_ else 0
    to_ms = instant("TO", to) if to else END_OF_TIME_MS
    if from_ms >= to_ms:
        raise Fatal(f"FROM: expected a time before TO, found {shown(from_ms)} and {shown(to_ms)}")
    return from_ms, to_ms


def instant(name: str, text: str) -> int:
    """Return epoch milliseconds, of a time in ISO 8601 (UTC where it names no zone) or of themselves."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as e:
        raise Fatal(
            f"{name}: expected a time such as 2026-06-10T14:30:00Z, or epoch milliseconds; found {text!r}"
        ) from e
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def duration(name: str, text: str) -> int:
    """Return the milliseconds of a duration such as 90m or 2h."""
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None or not int(match[1]):
        raise Fatal(f"{name}: expected a duration such as 90m, 2h or 1d; found {text!r}")
    return int(match[1]) * UNIT_MS[match[2]]


def shown(at_ms: int) -> str:
    """Return a time for a person."""
    if at_ms >= END_OF_TIME_MS:
        return "the end"
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
