"""What the publisher gets: quotes of one source that came at one moment, polled or pushed."""

from dataclasses import dataclass

from common.messages import RawQuote


@dataclass(frozen=True)
class News:
    """Quotes of one source, in its order."""

    source: str
    received_ms: int
    quotes: tuple[RawQuote, ...]
    check: bool = False
    """They check the source that feeds the series, and feed nothing themselves."""
    pushed: bool = False
