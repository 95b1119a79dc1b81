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
    by_round: bool = False
    """Both were measured in turn: each round has a ratio of its own, which what else the machine does leaves alone."""
    accuracy: str = ""
    """How far the peer's numbers are from the reference."""
    note: str = ""

    @property
    def ratio(self) -> float:
        """Ours over the peer's: of the medians, or the median of the rounds'."""
        if self.by_round:
            return statistics.median(ours / peer for ours, peer in zip(self.ours, self.peer, strict=True))
        return statistics.median(self.ours) / statistics.median(self.peer)


def percentile(values: Sequence[float], share: int) -> float:
    """Return the value below which so many of a hundred lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text: medians, and the ratio, which carries over to other machines as the figures don't."""
    cells = [("what", "ours", "peer", "ours/peer", "peer is", "peer is off by", "note")]
    for row in rows:
        ours, peer = (f"{statistics.median(values):,.3g} {row.unit}" for values in (row.ours, row.peer))
        cells.append((row.what, ours, peer, _ratio(row.ratio), row.peer_name, row.accuracy, row.note))
    columns = [column for column in zip(*cells, strict=True) if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _ratio(ratio: float) -> str:
    """Return a small one as a fraction: 0.01 could be a fiftieth as well as a hundredth."""
    return f"{ratio:.2f}" if ratio >= 0.1 else f"1/{1 / ratio:,.0f}"
