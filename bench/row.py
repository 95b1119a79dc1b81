"""One line of the table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure of ours beside a peer's, both measured in this run."""

    what: str
    unit: str
    ours: Sequence[float]
    peer_name: str
    peer: Sequence[float]

    @property
    def ratio(self) -> float:
        """Ours over the peer's, of the medians."""
        return statistics.median(self.ours) / statistics.median(self.peer)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text: medians, and the ratio, which carries over to other machines as the figures don't."""
    cells = [("what", "ours", "peer", "ours/peer", "peer is")]
    for row in rows:
        ours, peer = (f"{statistics.median(values):,.3g} {row.unit}" for values in (row.ours, row.peer))
        cells.append((row.what, ours, peer, f"{row.ratio:.2f}", row.peer_name))
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
