"""Replay a stored period and compare what comes out with what is stored: `python -m replay --from ... --to ...`.

The raw stream is rebuilt from the database and goes through the validator and the feature engine, over a Redis of the
replay's own. Nothing of the installation is written to; it may run meanwhile. The settings are those of now: what was
collected with others (SYMBOLS, LIMITS, LATENESS, REJECT_SCORE, TIMEFRAMES, ...), or by another release, may well come
out differently.

Exit codes: 0 identical, 1 different, 2 can't be done or decided.
"""

import argparse
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType

import structlog

from common.command_line import which_installation
from common.errors import Fatal, PipelineError
from common.settings import Settings
from common.symbols import load_symbols
from replay.installation import installation_of
from replay.line import Line
from replay.period import duration, period
from replay.plan import Plan, Wanted, plans
from replay.record import Record
from replay.report import Meter, lines
from replay.run import Replay
from replay.scratch import scratch_redis
from replay.tally import Findings

IDENTICAL, DIFFERENT, UNDONE = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks, and return the exit code."""
    _quiet_logs()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _run(parser().parse_args(arguments))
    except PipelineError as e:
        print(e, file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return UNDONE


def _run(options: argparse.Namespace) -> int:
    lead_in_ms = duration("LEAD_IN", options.lead_in) if options.lead_in else None
    bounds = period(options.from_, options.to)
    path, settings = installation_of(Path.cwd(), options.demo, options.database)
    wanted = Wanted(*bounds, lead_in_ms, _names(options.symbols, settings))
    with closing(Record(path)) as record:
        planned = plans(record, wanted, load_symbols(settings.symbols, settings.symbols_file))
        meter = Meter(sum(plan.cycles for plan in planned))
        findings = _replay(record, settings, planned, meter)
    meter.end()
    left_out = wanted.symbols.difference(*(plan.symbols for plan in planned))
    print("\n".join(lines(planned, findings, meter.seconds, left_out)))
    if findings.differing:
        return DIFFERENT
    return UNDONE if findings.doubtful else IDENTICAL


def _replay(record: Record, settings: Settings, planned: Sequence[Plan], meter: Meter) -> Findings:
    findings = Findings()
    with scratch_redis() as link, tempfile.TemporaryDirectory(prefix="replay-") as folder:
        line = Line(link, settings, Path(folder))
        for plan in planned:
            Replay(record, line, plan, findings, meter).run()
    return findings


def _names(text: str, settings: Settings) -> frozenset[str]:
    """Return the symbols that are named; all if none is."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in settings.symbols]
    if unknown:
        raise Fatal(f"SYMBOLS: expected some of {', '.join(settings.symbols)}; found {', '.join(unknown)}")
    return frozenset(names or settings.symbols)


def _quiet_logs() -> None:
    """Keep what the stages say of normal work to themselves."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        prog="python -m replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--from", dest="from_", default="", metavar="TIME",
        help="compare from this stream time on: 2026-06-10T14:30:00Z or epoch milliseconds (default: all)",
    )  # fmt: skip
    made.add_argument(
        "--to", default="", metavar="TIME", help="up to this stream time, exclusive (default: the newest)"
    )
    made.add_argument("--symbols", default="", metavar="A,B", help="compare these alone (default: all)")
    made.add_argument(
        "--lead-in", default="", metavar="2h",
        help="begin so long before FROM, over the stored bars, and not with the record: sooner done, but what rests on"
        " older quotes is not promised then, and the report says so",
    )  # fmt: skip
    made.add_argument("--database", type=Path, help="the file (default: the installation's)")
    made.add_argument("--demo", type=which_installation, default=None, help="1: the demo, 0: live")
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
