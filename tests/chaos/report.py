"""A plugin of pytest that prints the fault matrix after a run: `make chaos`, and with --fault-page writes the page."""

import textwrap
from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from tests.chaos import page
from tests.chaos.matrix import Fault, faults
from tests.chaos.page import Result

_WIDTHS = (5, 42, 52, 44, 8, 9)
_UNITS = {"s": "s", "ms": "ms", "mb": "MB"}


@dataclass
class _Run:
    """What the reports said of one test, all its parameters together."""

    seconds: float = 0.0
    verdicts: set[str] = field(default_factory=set)
    figures: dict[str, list[object]] = field(default_factory=lambda: defaultdict(list))

    def take(self, report: pytest.TestReport) -> None:
        self.seconds += report.duration
        if report.failed:
            self.verdicts.add("BROKEN")
        elif report.skipped:
            self.verdicts.add(f"skipped: {report.longreprtext.rpartition(': ')[2].strip(chr(39) + ')')}")
        elif report.when == "call":
            self.verdicts.add("held")
        if report.when == "teardown":
            for name, value in report.user_properties:
                self.figures[name].append(value)

    def result(self) -> Result:
        verdict = next((v for v in ("BROKEN", "held") if v in self.verdicts), next(iter(self.verdicts), "not run"))
        measured = ", ".join(_figure(name, values) for name, values in self.figures.items())
        return Result(verdict, measured, self.seconds)


def _figure(name: str, values: list[object]) -> str:
    words, _, unit = name.rpartition("_")
    text = " / ".join(dict.fromkeys(_shown(v) for v in values))
    return f"{words.replace('_', ' ')} {text} {_UNITS[unit]}" if unit in _UNITS else f"{name.replace('_', ' ')} {text}"


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


class FaultReport:
    """Collects the reports of the rows' tests."""

    def __init__(self) -> None:
        self.runs: dict[str, _Run] = defaultdict(_Run)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take each phase of each test."""
        self.runs[report.nodeid.partition("[")[0]].take(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Print the table, and write the page if asked to."""
        rows = faults()
        results = {row.test: self.runs[row.test].result() for row in rows if row.test in self.runs}
        terminalreporter.section("faults")
        _print(terminalreporter, ("", "fault", "promised", "measured", "seconds", "verdict"))
        for row in rows:
            if row.test in results:
                _print(terminalreporter, _cells(row, results[row.test]))
        held = sum(result.verdict == "held" for result in results.values())
        terminalreporter.write_line(f"{held} of {len(results)} held")
        if config.getoption("--fault-page"):
            page.write(rows, results)
            terminalreporter.write_line(f"written: {page.PAGE}")


def _cells(row: Fault, result: Result) -> tuple[str, ...]:
    return (row.number, row.row, row.promise, result.measured, f"{result.seconds:.1f}", result.verdict)


def _print(to: pytest.TerminalReporter, texts: tuple[str, ...]) -> None:
    columns = [textwrap.wrap(text, width) or [""] for text, width in zip(texts, _WIDTHS, strict=True)]
    for number in range(max(map(len, columns))):
        line = [column[number] if number < len(column) else "" for column in columns]
        to.write_line("  ".join(text.ljust(width) for text, width in zip(line, _WIDTHS, strict=True)).rstrip())


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes the page."""
    parser.addoption("--fault-page", action="store_true", help="write the table of docs/faults.md")


def pytest_configure(config: pytest.Config) -> None:
    """Listen, but in the workers of a run that is spread out: their reports come to the one that prints."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FaultReport())
