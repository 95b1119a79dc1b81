"""What is measured: something that takes the next bar in, for each of its symbols."""

from typing import Protocol


class Contender(Protocol):
    """One way to compute indicators. Both methods do one bar for each symbol, and keep what they compute."""

    symbols: int
    """For how many it computes."""

    def peek(self, place: int) -> None:
        """Compute with an open bar. place: among the measured bars."""
        ...

    def close(self, place: int) -> None:
        """Take in a closed bar."""
        ...
