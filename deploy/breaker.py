"""Force a source's circuit breaker, or set it free: `python -m deploy.breaker [--demo 1|0] <source> open --why "..."`.

It goes straight to Redis, so that it works while the api does not. The collector heeds it at the next call.
"""

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from common import keys
from common.breaker import Breaker, BreakerView, Force, Rules
from common.clock import wall_ms
from common.command_line import one_of, which_installation
from common.errors import Fatal, Retryable
from common.messages import Clock, decode
from common.redis_link import Link
from common.symbols import TERMINAL
from deploy.redis_cli import complaint, link_of_installation

SCAN_COUNT = 1_000


def main(arguments: Sequence[str]) -> int:
    """Do what the operator said, print what came of it, and return the exit code."""
    try:
        options = _parser().parse_args(arguments)
        link, partitions = link_of_installation(Path.cwd(), options.demo)
        print(force(link, partitions, options.source, Force(options.state), options.why))
    except (Fatal, Retryable) as e:
        print(complaint(e), file=sys.stderr)
        return 1
    return 0


def force(link: Link, partitions: Sequence[int], source: str, wanted: Force, why: str) -> str:
    """Take the word, and return what came of it. Fatal if no collector knows such a source."""
    known = sources(link)
    if source not in known:
        raise Fatal(
            f"SOURCE: expected one that the collector knows ({', '.join(known) or 'none yet'}), found {source!r}"
        )
    breaker = Breaker(link, source, Rules())
    change = breaker.force(wanted, f"make, by {_user()}", why or "no reason given", _stream_ms(link, partitions))
    return f"{source}: {'no change' if change is None else f'was {change.before}'}, {described(breaker.read())}"


def described(view: BreakerView) -> str:
    """Return how a breaker is, for a person."""
    if view.force is Force.AUTO:
        return f"is {view.state}, by its own rules"
    return f"is {view.state}, forced by {view.forced_by}: {view.forced_why}"


def sources(link: Link) -> list[str]:
    """Return the sources that a collector has reported, but for the terminal, which nobody asks."""
    prefix, cursor, found = keys.source_report(""), b"0", set[str]()
    while True:
        reply = link.call("SCAN", cursor, "MATCH", f"{prefix}*", "COUNT", SCAN_COUNT)
        cursor, batch = cast(tuple[bytes, list[bytes]], reply)
        found |= {key.decode().removeprefix(prefix) for key in batch}
        if cursor == b"0":
            return sorted(found - {TERMINAL})


def _stream_ms(link: Link, partitions: Sequence[int]) -> int:
    """Return the stream's time, which a breaker's moments are in; real time where there is none yet."""
    bodies = [link.call("GET", keys.clock(partition)) for partition in partitions]
    clocks = [decode(body) for body in bodies if isinstance(body, bytes)]
    return max((clock.now_ms for clock in clocks if isinstance(clock, Clock)), default=wall_ms())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return "an unnamed user"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.breaker", description=__doc__)
    parser.add_argument("--demo", type=which_installation, default=None, help="1: the demo, 0: live")
    parser.add_argument("--why", default="", help="for those who read it later")
    parser.add_argument("source", help="such as /api/sources names it")
    parser.add_argument("state", type=one_of("STATE", [*Force]), help="open, closed, or auto: by its own rules again")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
