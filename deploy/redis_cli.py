"""Ask the Redis of an installation: `python -m deploy.redis_cli [--demo 1|0] -- XINFO GROUPS {0}:raw`.

Without `--demo` it asks the one that runs, else the live one.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from redis.exceptions import ResponseError

from common.command_line import which_installation, words_of
from common.errors import Fatal, Retryable
from common.redis_link import Link, RedisAway, Reply, open_link
from common.settings import load_settings
from deploy import supervise
from deploy.layout import demo_folders, live_folders
from deploy.observer import link_of

MAPS = ("HGETALL", "XINFO", "CONFIG", "MEMORY")
"""Commands whose replies are names and values in turn."""


def main(arguments: Sequence[str]) -> int:
    """Print the reply to one command, and return the exit code: 1 for an error reply."""
    try:
        options = _parser().parse_args(arguments)
        words = [*options.words, *words_of(options.line)]
        if not words:
            print("which command? as in: make redis CMD='XINFO GROUPS {0}:raw'", file=sys.stderr)
            return 2
        reply = link_of_installation(Path.cwd(), options.demo)[0].exchange([tuple(words)])[0]
    except (Fatal, Retryable) as e:
        print(complaint(e), file=sys.stderr)
        return 1
    print("\n".join(lines(reply, maps=words[0].upper() in MAPS)))
    return 1 if isinstance(reply, ResponseError) else 0


def complaint(error: Exception) -> str:
    """Return what went wrong, and where nothing answers, what to look at."""
    return f"{error}; is the pipeline (make start) or Redis up?" if isinstance(error, RedisAway) else str(error)


def lines(reply: Reply, maps: bool = False, depth: int = 0) -> list[str]:
    """Return a reply as indented lines: elements of a list after "- ", an entry of a stream on one line.

    maps: whether lists of names and values are shown as "name: value".
    """
    pad = "  " * depth
    if not isinstance(reply, list):
        return [pad + scalar(reply)]
    if not reply:
        return [pad + "(empty)"]
    if _is_entry(reply):
        return [pad + _entry(reply)]
    if maps and _is_map(reply):
        pairs = zip(reply[::2], reply[1::2], strict=True)
        return [line for name, value in pairs for line in _named(scalar(name), value, depth)]
    return [line for element in reply for line in _element(element, maps, depth)]


def scalar(reply: Reply) -> str:
    """Return one value as text: bytes that are no UTF-8 escaped, absent as (nil), an error as such."""
    if reply is None:
        return "(nil)"
    if isinstance(reply, ResponseError):
        return f"(error) {reply}"
    if isinstance(reply, bytes):
        return reply.decode(errors="backslashreplace") if _is_text(reply) else repr(reply)[2:-1]
    return str(reply)


def _named(name: str, value: Reply, depth: int) -> list[str]:
    pad = "  " * depth
    if not isinstance(value, list) or not value or _is_entry(value):
        return [f"{pad}{name}: {lines(value)[0]}"]
    return [f"{pad}{name}:", *lines(value, maps=True, depth=depth + 1)]


def _element(element: Reply, maps: bool, depth: int) -> list[str]:
    first, *rest = lines(element, maps=maps, depth=depth + 1)
    return [f"{'  ' * depth}- {first.lstrip()}", *rest]


def _is_entry(reply: list[Reply]) -> bool:
    """Tell whether a list is an entry of a stream: its id, and its fields with their values."""
    if len(reply) != 2 or not isinstance(reply[0], bytes) or not isinstance(reply[1], list):
        return False
    return re.fullmatch(rb"\d+-\d+", reply[0]) is not None and len(reply[1]) % 2 == 0


def _entry(reply: list[Reply]) -> str:
    fields = cast(list[Reply], reply[1])
    pairs = zip(fields[::2], fields[1::2], strict=True)
    return "  ".join([scalar(reply[0]), *(f"{scalar(name)}: {scalar(value)}" for name, value in pairs)])


def _is_map(reply: list[Reply]) -> bool:
    return len(reply) % 2 == 0 and all(isinstance(name, bytes) for name in reply[::2])


def _is_text(value: bytes) -> bool:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\r\n\t" for c in text)


def link_of_installation(home: Path, demo: bool | None) -> tuple[Link, tuple[int, ...]]:
    """Return a connection to the Redis of the live installation or the demo, and its partitions; None: what runs."""
    both = live_folders(home), demo_folders(home)
    running = [folders for folders in both if supervise.is_running(folders)] or [both[0]]
    folders = running[0] if demo is None else both[demo]
    if folders.mode == "live" and not folders.note.exists():
        settings = load_settings()
        return open_link(settings), settings.partitions
    return link_of(folders), supervise.note(folders).partitions


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.redis_cli", description=__doc__)
    parser.add_argument("--demo", type=which_installation, default=None, help="1: the demo, 0: live")
    parser.add_argument("--line", default="", help="the command as one line")
    parser.add_argument("words", nargs="*", help="the command, word by word")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
