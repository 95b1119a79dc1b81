"""Where what can't be handled goes: poison entries to a stream, a half-failed transaction to a local file.

The file holds the commands that failed inside an executed transaction (its acknowledgement took effect, so they exist
nowhere else). They are issued again at the next start, once, before anything else.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from common import keys
from common.errors import Fatal
from common.fence import ExecFailed, Fence
from common.keys import FIELD
from common.messages import DeadLetter, encode
from common.reader import Undecodable
from common.redis_link import Command, Link
from common.stage import Entry

log = structlog.get_logger()


class HeldCommands(msgspec.Struct, frozen=True):
    """The content of a local dead-letter file. Arguments are base64: they may hold any bytes."""

    stage: str
    partition: int
    error: str
    entries: tuple[str, ...]
    """The batch, as "stream entry-id"."""
    commands: tuple[tuple[str, ...], ...]


def dead_letter(partition: int, stage: str, poison: Entry | Undecodable, failures: int, error: Exception) -> Command:
    """Return the XADD that keeps a poison entry whole, with the reason."""
    if isinstance(poison, Undecodable):
        body, reason, detail = poison.body.decode(errors="backslashreplace"), "undecodable", poison.detail
    else:
        body = encode(poison.message).decode()
        reason, detail = getattr(error, "reason", type(error).__name__), str(error)
    letter = DeadLetter(
        stage=stage, stream=poison.stream.name, entry_id=poison.id, reason=reason, detail=detail, failures=failures,
        body=body,
    )  # fmt: skip
    return ("XADD", keys.dead(partition, stage), "*", FIELD, encode(letter))


def hold(folder: Path, stage: str, partition: int, epoch: int, batch: Sequence[Entry], failure: ExecFailed) -> Path:
    """Write the commands that failed inside an executed transaction to a file, durably, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    held = HeldCommands(
        stage=stage,
        partition=partition,
        error=str(failure),
        entries=tuple(f"{entry.stream.name} {entry.id}" for entry in batch),
        commands=tuple(tuple(_to_text(argument) for argument in command) for command, _ in failure.failed),
    )
    path = folder / f"{stage}-p{partition}-{epoch}.json"
    with path.open("xb") as file:
        file.write(msgspec.json.encode(held))
        file.flush()
        os.fsync(file.fileno())
    return path


def issue_held(folder: Path, link: Link, fence: Fence, stage: str, partition: int) -> None:
    """Issue the commands of every file of this stage and partition again, once each; Fatal names what still fails."""
    for path in sorted(folder.glob(f"{stage}-p{partition}-*.json")):
        held = msgspec.json.decode(path.read_bytes(), type=HeldCommands)
        if not link.call("SISMEMBER", keys.recovered(partition, stage), path.name):
            _issue(fence, held, path, stage, partition)
        path.rename(path.with_suffix(".done"))
        log.warning("dead_letters.issued_again", file=str(path), commands=len(held.commands))


def _issue(fence: Fence, held: HeldCommands, path: Path, stage: str, partition: int) -> None:
    commands: list[Command] = [tuple(b64decode(argument) for argument in command) for command in held.commands]
    try:
        fence.commit([*commands, ("SADD", keys.recovered(partition, stage), path.name)])
    except ExecFailed as e:
        raise Fatal(f"{path}: the commands held in this file fail again: {e}; mend the key and start again") from e


def _to_text(argument: str | bytes | int | float) -> str:
    raw = argument if isinstance(argument, bytes) else str(argument).encode()
    return b64encode(raw).decode()
