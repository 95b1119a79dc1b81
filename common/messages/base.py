"""What all messages share: their base, and the words for volume, timeframe and a vendor's number."""

from typing import Literal

from msgspec import Struct

VolumeKind = Literal["traded", "ticks", "none"]
Timeframe = Literal["1s", "1m", "5m", "15m", "1h"]
Number = float | str | None
"""As the vendor sent it: a string is what was not a finite number there, None is absent."""

TIMEFRAME_MS: dict[str, int] = {"1s": 1_000, "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000}


class Message(Struct, frozen=True, omit_defaults=True, tag_field="kind"):
    """The base of all that may stand alone in an entry."""
