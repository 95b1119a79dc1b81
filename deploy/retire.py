"""Give a stage up that will not come back: `python -m deploy.retire features --why "runs on another host now"`.

Streams are trimmed only up to what every stage has acknowledged. A stage that never returns would fill Redis: retired,
nobody waits for it. What it had not read is lost to it; when it is started again it goes on where it was, with what is
left.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec

from common import keys
from common.clock import wall_ms
from common.command_line import which_installation
from common.errors import Fatal, Retryable
from common.heartbeat import RETIRED, Pulse, read_pulses
from common.keys import STAGES
from common.redis_link import Link
from common.retirement import Retirement, retire
from deploy.redis_cli import complaint, link_of_installation

ALIVE_MS = 10_000


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks, and return the exit code."""
    try:
        options = parser().parse_args(arguments)
        if options.stage not in STAGES:
            raise Fatal(f"STAGE: expected one of {', '.join(STAGES)}, found {options.stage!r}")
        if not options.why.strip():
            raise Fatal("WHY: expected the reason, for whoever reads /health later")
        link, partitions = link_of_installation(Path.cwd(), options.demo)
        _refuse_alive(link, options.stage)
        _retire(link, partitions, options.stage, Retirement(options.why, wall_ms()))
    except (Fatal, Retryable) as e:
        print(complaint(e), file=sys.stderr)
        return 1
    return 0


def _refuse_alive(link: Link, stage: str) -> None:
    for pulse in _pulses(link, stage):
        age_ms = wall_ms() - pulse.wall_ms
        if pulse.status != RETIRED and age_ms < ALIVE_MS:
            raise Fatal(
                f"{pulse.instance} had a heartbeat {age_ms} ms ago: stop it first (make ctl CMD='stop {stage}')"
            )


def _retire(link: Link, partitions: Sequence[int], stage: str, retirement: Retirement) -> None:
    for partition in partitions:
        for stream, entries in retire(link, partition, stage, retirement).items():
            print(f"{{{partition}}}:{stream}: {entries} entries that {stage} had not settled are lost to it")
    for pulse in _pulses(link, stage):
        said = msgspec.structs.replace(pulse, status=RETIRED, message=f"retired: {retirement.why}")
        link.call("SET", keys.heartbeat(stage, pulse.instance), msgspec.json.encode(said))
    print(f"{stage} is retired: nobody keeps entries for it until it is started again. /health says so.")


def _pulses(link: Link, stage: str) -> list[Pulse]:
    names = cast(list[bytes], link.call("KEYS", keys.heartbeat(stage, "*")))
    return read_pulses([cast(bytes | None, reply) for reply in link.exchange([("GET", name) for name in names])])


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m deploy.retire", description=__doc__)
    made.add_argument("stage", help=f"one of {', '.join(STAGES)}")
    made.add_argument("--why", default="", help="for whoever reads /health later")
    made.add_argument("--demo", type=which_installation, default=None, help="1: the demo, 0: live")
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
