"""The matrix as the table of docs/faults.md: written by `make chaos-page`, checked by tests/docs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.matrix import Fault

PAGE = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
HEADING = "## The matrix\n"
_HEAD = "| | fault | promised | measured | seconds | turned red by | test |\n|---|---|---|---|---|---|---|\n"
NOT_YET = "-"


@dataclass(frozen=True)
class Result:
    """What one run of a row's test came to."""

    verdict: str
    """"held", "BROKEN" or "skipped: why"."""
    measured: str
    seconds: float


def cells(row: Fault) -> tuple[str, ...]:
    """Return what the page says of a row beside its figures."""
    return (row.number, row.row, row.promise, row.teeth, f"`{row.test}`")


def on_page() -> dict[tuple[str, ...], tuple[str, str]]:
    """Return the page's rows: from their cells to what was measured, in how many seconds."""
    found: dict[tuple[str, ...], tuple[str, str]] = {}
    for line in PAGE.read_text().partition(HEADING)[2].splitlines():
        if line.startswith("| F"):
            number, row, promise, measured, seconds, teeth, test = (cell.strip() for cell in line.strip("|").split("|"))
            found[(number, row, promise, teeth, test)] = (measured, seconds)
    return found


def write(rows: Sequence[Fault], results: Mapping[str, Result]) -> None:
    """Write the table: figures of what held now, else those that the page has for the same test."""
    known = {cells[-1]: figures for cells, figures in on_page().items()}
    lines = [_line(row, results.get(row.test), known.get(f"`{row.test}`", (NOT_YET, NOT_YET))) for row in rows]
    before = PAGE.read_text().partition(HEADING)[0]
    PAGE.write_text(f"{before}{HEADING}\n{_HEAD}{''.join(lines)}")


def _line(row: Fault, result: Result | None, known: tuple[str, str]) -> str:
    measured, seconds = known
    if result is not None and result.verdict == "held":
        measured, seconds = result.measured or "held", f"{result.seconds:.0f}"
    number, name, promise, teeth, test = cells(row)
    return f"| {number} | {name} | {promise} | {measured} | {seconds} | {teeth} | {test} |\n"
