"""Where what can't be handled goes: poison entries to a stream, a half-failed transaction to a local file.

The file holds the commands that failed inside an executed transaction (its acknowledgement took effect, so they exist
nowhere else). They are issued again at the next start, each once, before anything else.
"""

import os
import time
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
from common.redis_link import Command
from common.stage import Entry

log = structlog.get_logger()

# A script, because a plain transaction would set the mark even where the command fails.
_ONCE = """
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then
    redis.call(unpack(ARGV, 2))
    redis.call('SADD', KEYS[1], ARGV[1])
end
"""


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


def hold(
    folder: Path, stage: str, partition: int, epoch: int, batch: Sequence[Entry | Undecodable], failure: ExecFailed
) -> Path:
    """Write the commands that failed inside an executed transaction to a file, durably, and return its path.

    Fatal if the disk refuses: then the log has them.
    """
    held = HeldCommands(
        stage=stage,
        partition=partition,
        error=str(failure),
        entries=tuple(entry.name for entry in batch),
        commands=tuple(tuple(_to_text(argument) for argument in command) for command, _ in failure.failed),
    )
    path = folder / f"{stage}-p{partition}-{epoch}-{time.time_ns()}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_durably(path, msgspec.json.encode(held))
    except OSError as e:
        log.critical("dead_letters.not_kept", file=str(path), held=msgspec.to_builtins(held))
        raise Fatal(f"STATE_DIR: {path}: {e}: what failed inside a transaction is only in the log: {failure}") from e
    return path


def _write_durably(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all, whatever dies meanwhile."""
    unfinished = path.with_suffix(".tmp")
    with unfinished.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def issue_held(folder: Path, fence: Fence, stage: str, partition: int) -> None:
    """Issue the commands of every file of this stage and partition again, once each; Fatal names what still fails."""
    for path in sorted(folder.glob(f"{stage}-p{partition}-*.json"), key=lambda found: found.stat().st_mtime_ns):
        try:
            held = msgspec.json.decode(path.read_bytes(), type=HeldCommands)
        except msgspec.DecodeError as e:
            raise Fatal(f"{path}: expected held commands, found: {e}; mend the file or move it away") from e
        for number, command in enumerate(held.commands):
            _issue(fence, tuple(b64decode(argument) for argument in command), f"{path.name}#{number}", path, held)
        path.rename(path.with_suffix(".done"))
        log.warning("dead_letters.issued_again", file=str(path), commands=len(held.commands))


def _issue(fence: Fence, command: Command, mark: str, path: Path, held: HeldCommands) -> None:
    try:
        fence.commit([("EVAL", _ONCE, 1, keys.recovered(held.partition, held.stage), mark, *command)])
    except ExecFailed as e:
        raise Fatal(f"{path}: a command held in this file fails again: {e}; mend the key and start again") from e


def _to_text(argument: str | bytes | int | float) -> str:
    raw = argument if isinstance(argument, bytes) else str(argument).encode()
    return b64encode(raw).decode()
