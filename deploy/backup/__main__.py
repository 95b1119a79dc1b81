"""Copies of everything stored, and the way back: `python -m deploy.backup make|restore|check`.

The pipeline may run meanwhile; Redis must.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from common.command_line import which_installation, whole
from common.errors import Fatal, Retryable
from deploy.backup.make import backups_of, make, prove
from deploy.backup.place import place_of
from deploy.backup.restore import restore

KEEP = 7


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks, and return the exit code."""
    try:
        options = parser().parse_args(arguments)
        place = place_of(Path.cwd(), options.demo)
        if options.action == "make":
            if options.keep < 1:
                raise Fatal(f"KEEP: expected at least 1, found {options.keep}")
            make(place, options.keep, _say)
        elif options.action == "check":
            prove(_file(options.file), _say)
        elif not options.file:
            found = "\n".join(f"  {file}" for file in backups_of(place)) or "  none yet: make backup"
            raise Fatal(f"which one? as in: make restore FILE=...; there are\n{found}")
        else:
            restore(place, _file(options.file), _say)
    except (Fatal, Retryable) as e:
        print(e, file=sys.stderr)
        return 1
    return 0


def _file(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise Fatal(f"FILE: expected a backup, found no file {name!r}")
    return path


def _say(line: str) -> None:
    print(line, flush=True)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m deploy.backup", description=__doc__)
    actions = top.add_subparsers(dest="action", required=True)
    made = actions.add_parser("make", help="write a backup, read it back, compare, delete old ones")
    made.add_argument("--keep", type=whole("KEEP", 30), default=KEEP, help="how many stay (default %(default)s)")
    checked = actions.add_parser("check", help="read a backup back and compare it with its manifest")
    checked.add_argument("file", help="the backup")
    restored = actions.add_parser("restore", help="put a backup in the place of what is stored")
    restored.add_argument("file", nargs="?", default="", help="the backup")
    for command in (made, checked, restored):
        command.add_argument("--demo", type=which_installation, default=None, help="1: the demo, 0: live")
    return top


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
