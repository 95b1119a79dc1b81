"""Start the simulator: python -m simulator --port 8900 --speed 1 --seed 42."""

import argparse
import gc
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from common.errors import Fatal
from common.symbols import load_symbols
from simulator.app import App
from simulator.market import Market, generated, replayed
from simulator.serving import server_of

log = structlog.get_logger()

DEFAULT_START = "2026-06-10T14:30:00Z"
"""A Wednesday on which all six symbols trade, in New York's summer time."""
DEFAULT_SYMBOLS = "NAS100,XAUUSD,EURUSD,GBPUSD,US30,US500"
_NOT_STARTED = 3
"""Exit code; the log says why."""


def _start_ms(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"expected a time such as {DEFAULT_START}, found {text!r}") from e
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return int(at.timestamp()) * 1000


def _interval_ms(text: str) -> int:
    try:
        interval_ms = round(float(text) * 1000)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"expected seconds, found {text!r}") from e
    if not 1 <= interval_ms <= 86_400_000:
        raise argparse.ArgumentTypeError(f"expected 0.001 to 86400 seconds, found {text!r}")
    return interval_ms


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"expected a number, found {text!r}") from e
    if not 0 <= speed < float("inf"):
        raise argparse.ArgumentTypeError(f"expected 0 (as fast as it is asked) or more, found {text!r}")
    return speed


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m simulator",
        description="Four market-data vendors on the loopback, speaking their wire formats under /yahoo (its cookie "
        "page under /yahoo-cookie), /alphavantage, /twelvedata and /polygon, with the WebSockets of /yahoo/stream/, "
        "/twelvedata/stream/v1/quotes/price, /polygon/stream/forex and /polygon/stream/indices. Time stands still "
        "until GET /sim/clock?after=N asks for the next cycle; its frames are sent before the answer. Faults: POST "
        "/sim/faults (channel: rest or stream; default both). Figures: /sim/stats, /sim/ledger.",
    )
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    made.add_argument("--port", type=int, default=8900, help="port to listen on (default %(default)s)")
    made.add_argument(
        "--speed", type=_speed, default=1.0, metavar="S",
        help="simulated seconds per real second at most; 0: as fast as it is asked (default %(default)s)",
    )  # fmt: skip
    made.add_argument("--seed", type=int, default=42, help="of generated prices (default %(default)s)")
    made.add_argument(
        "--data", type=Path, nargs="+", action="extend", default=[], metavar="PATH",
        help="replay these files or folders of .csv or .csv.gz instead of generating prices: bars "
        "(timestamp,open,high,low,close,volume) or quotes (timestamp_ms,bid,ask), named SYMBOL_anything",
    )  # fmt: skip
    made.add_argument(
        "--interval", type=_interval_ms, default=1000, metavar="SECONDS",
        help="simulated time between cycles; shorter where ticks would be overtaken unseen (default 1)",
    )  # fmt: skip
    made.add_argument(
        "--limits", choices=("none", "real"), default="none",
        help="real: the vendors' free allowances, plans and delays, in simulated time (default %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--start", type=_start_ms, default=None, metavar="TIME",
        help=f"simulated time of cycle 0 (default {DEFAULT_START}; with --data: just before the first row)",
    )  # fmt: skip
    made.add_argument("--symbols", default=DEFAULT_SYMBOLS, help="generic symbols (default %(default)s)")
    made.add_argument("--symbols-file", type=Path, default=None, help="symbol table (default: the built-in one)")
    return made


def market_of(options: argparse.Namespace) -> Market:
    """Return the market that the options describe."""
    table = load_symbols([name.strip() for name in options.symbols.split(",") if name.strip()], options.symbols_file)
    late = options.limits == "real"
    if options.data:
        return replayed(table, options.data, interval_ms=options.interval, late=late, start_ms=options.start)
    start_ms = _start_ms(DEFAULT_START) if options.start is None else options.start
    return generated(table, seed=options.seed, start_ms=start_ms, interval_ms=options.interval, late=late)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; return the exit code."""
    options = parser().parse_args(arguments)
    try:
        market = market_of(options)
    except Fatal as e:
        print(f"simulator: {e}", file=sys.stderr)  # noqa: T201  # for the person who started it
        return 2
    app = App(market, seed=options.seed, speed=options.speed, real_limits=options.limits == "real")
    log.info(
        "simulator.starting", host=options.host, port=options.port, speed=options.speed, limits=options.limits,
        symbols=sorted({one.symbol for own in market.listings.values() for one in own.values()}),
        now_ms=market.timeline.at(0).now_ms, last_cycle=market.timeline.last_cycle,
    )  # fmt: skip
    gc.freeze()
    server = server_of(app, host=options.host, port=options.port)
    server.run()
    return 0 if server.started else _NOT_STARTED


if __name__ == "__main__":
    sys.exit(main())
