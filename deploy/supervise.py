"""Start, ask and stop the supervisord of an installation."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import cast

import msgspec

from common.errors import Fatal, Retryable
from deploy.layout import Folders, Layout
from deploy.redis_choice import Embedded, embedded_configuration

STOP_S = 6.5  # the stopwaitsecs of deploy/programs/, and a moment
LAST_S = 8.0  # supervisord's own end, with Redis' last write
POLL_S = 0.05
RPC_S = 5.0
WITHOUT_WAITING = False
NAMES_FOLLOW = ("start", "stop", "restart")  # supervisorctl's commands whose words are all names of processes
DECISIVE = ("SYMBOLS", "LIMITS", "COLLECTION_INTERVAL")
"""Settings that a demo chooses and that its verdicts and bars depend on."""


@dataclass(frozen=True)
class Process:
    """One supervised process, as supervisord sees it."""

    name: str
    group: str
    state: str
    pid: int
    since_s: int
    """Epoch seconds of the last start; 0 if it never ran."""


class Note(msgspec.Struct, frozen=True):
    """What was started, and where it listens: kept in the run folder for those who ask later."""

    api_url: str
    redis_host: str
    redis_port: int
    redis_db: int
    partitions: tuple[int, ...]
    judging: dict[str, str] = {}
    """Of a demo: the settings that decide what comes out (`DECISIVE`), which stand in no `.env`."""


class SupervisorAway(Retryable):
    """No supervisord answers at the control socket."""


class SupervisorSilent(Fatal):
    """A supervisord is there, and does not answer."""


class _SocketConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=RPC_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(RPC_S)
        self.sock.connect(self._path)


class _SocketTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._made = _SocketConnection(str(path))

    def make_connection(self, _host: object) -> HTTPConnection:
        return self._made

    def close(self) -> None:
        self._made.close()


def call(folders: Folders, method: str, *arguments: object) -> object:
    """Return supervisord's answer to one of its XML-RPC methods.

    SupervisorAway if it does not run; SupervisorSilent if it does, and is stopped or too busy to answer.
    """
    server = xmlrpc.client.ServerProxy("http://localhost", transport=_SocketTransport(folders.socket))
    try:
        with server as proxy:
            return cast(object, getattr(proxy.supervisor, method)(*arguments))
    except TimeoutError as e:
        raise SupervisorSilent(f"supervisord at {folders.socket} does not answer within {RPC_S:g} s") from e
    except OSError as e:
        raise SupervisorAway(f"no supervisord at {folders.socket}: {e}") from e


def processes(folders: Folders) -> list[Process]:
    """Return all processes of a running installation."""
    found = cast(list[dict[str, object]], call(folders, "getAllProcessInfo"))
    return [
        Process(str(p["name"]), str(p["group"]), str(p["statename"]), cast(int, p["pid"]), cast(int, p["start"]))
        for p in found
    ]


def is_running(folders: Folders) -> bool:
    """Return whether the installation's supervisord is there."""
    try:
        call(folders, "getState")
    except SupervisorAway:
        return False
    except (xmlrpc.client.Fault, SupervisorSilent):  # it is about to end; or stopped, with all that it started at work
        return True
    return True


def start(layout: Layout, own_redis: Embedded | None, *, foreground: bool) -> "subprocess.Popen[bytes]":
    """Start supervisord with all programs, and return once it answers. In the foreground it ends with this process."""
    _make_folders(layout.folders)
    if own_redis is not None:
        _write_private(layout.folders.run / "redis.conf", embedded_configuration(layout.redis, layout.folders.redis))
    client = f"[supervisorctl]\nserverurl = unix://{layout.folders.socket}\n"
    _write_private(layout.folders.run / "supervisorctl.conf", client)
    _write_private(layout.folders.note, msgspec.json.encode(_note(layout)).decode())
    command = [sys.executable, "-m", "deploy.supervised"]
    command += ["--foreground-of", str(os.getpid())] if foreground else []
    output = layout.folders.logs / "supervisord.out"
    with output.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=layout.home,
            env=layout.supervised_environment(own_redis.binary if own_redis else None),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C and a closed terminal reach the launcher alone
        )
    _wait_until_it_answers(layout.folders, process, output)
    return process


def stop(folders: Folders) -> bool:
    """Stop the stages together, then supervisord with Redis. Returns whether all has ended; False names no culprit."""
    try:
        pid = cast(int, call(folders, "getPID"))
        stop_stages(folders)
        call(folders, "shutdown")
    except SupervisorAway:
        return True

    def ended() -> bool:
        is_running(folders)  # a question wakes supervisord's loop, which sleeps a second per program while it ends
        return not _exists(pid)

    return _comes_true(ended, LAST_S)


def stop_stages(folders: Folders, groups: Collection[str] = ()) -> list[str]:
    """Stop these groups (empty: all but Redis, which goes last, with supervisord): supervisord stops one by one.

    Returns the names of those that have not ended in time.
    """

    def alive() -> list[Process]:
        wanted = [p for p in processes(folders) if p.pid and p.name != "redis"]
        return [p for p in wanted if not groups or p.group in groups]

    for process in alive():
        with contextlib.suppress(xmlrpc.client.Fault):  # it has ended meanwhile
            call(folders, "stopProcess", f"{process.group}:{process.name}", WITHOUT_WAITING)
    _comes_true(lambda: not alive(), STOP_S)
    return [process.name for process in alive()]


def start_stages(folders: Folders, names: Sequence[str]) -> None:
    """Start these processes, and return when each has lasted its first moment. Fatal names one that did not."""
    for process in processes(folders):
        if process.name in names:
            try:
                call(folders, "startProcess", f"{process.group}:{process.name}")
            except xmlrpc.client.Fault as e:
                raise Fatal(f"{process.name} does not start: {e.faultString}; see {folders.logs}") from e


def control(folders: Folders, arguments: Sequence[str]) -> int:
    """Run supervisorctl on this installation, and return its exit code. A stage's name stands for all its processes.

    Fatal if what is to be started or stopped is not there: of a restart supervisorctl would say so twice.
    """
    found = processes(folders)
    of_a_stage = [p for p in found if p.group != p.name]
    full = {p.group: f"{p.group}:*" for p in of_a_stage} | {p.name: f"{p.group}:{p.name}" for p in of_a_stage}
    if arguments and arguments[0] in NAMES_FOLLOW:
        _require_known(arguments, found)
    named = [full.get(word, word) for word in arguments]
    command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(folders.run / "supervisorctl.conf"), *named]
    return subprocess.run(command, check=False).returncode


def _require_known(arguments: Sequence[str], found: Sequence[Process]) -> None:
    command, *given = arguments
    names = [*sorted({p.name for p in found} | {p.group for p in found}), "all"]
    full_names = {f"{p.group}:{name}" for p in found for name in (p.name, "*")}
    unknown = [word for word in given if word not in names and word not in full_names]
    if unknown:
        raise Fatal(f"CMD: expected after {command} some of {', '.join(names)}, found {', '.join(unknown)}")


def note(folders: Folders) -> Note:
    """Return what was started here last. Fatal if nothing ever was."""
    try:
        return msgspec.json.decode(folders.note.read_bytes(), type=Note)
    except (OSError, msgspec.DecodeError) as e:
        raise Fatal(f"nothing was started in {folders.data} yet: {e}") from e


def _note(layout: Layout) -> Note:
    redis = layout.redis
    judging = {name: layout.environment[name] for name in DECISIVE} if layout.folders.mode == "demo" else {}
    return Note(layout.api_url, redis.address.host, redis.address.port, redis.db, layout.partitions, judging)


def _make_folders(folders: Folders) -> None:
    for folder in (folders.run, folders.logs, folders.redis):
        folder.mkdir(parents=True, exist_ok=True)
    folders.socket.parent.mkdir(mode=0o700, exist_ok=True)
    owner = folders.socket.parent.stat().st_uid
    if owner != os.getuid():
        raise Fatal(f"{folders.socket.parent}: expected a folder of our own, found one of user {owner}")
    for stale in (folders.socket, *folders.run.glob("*.started")):
        stale.unlink(missing_ok=True)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _wait_until_it_answers(folders: Folders, process: "subprocess.Popen[bytes]", output: Path) -> None:
    end = time.monotonic() + 10.0
    while not is_running(folders):
        if process.poll() is not None or time.monotonic() >= end:
            process.kill()
            raise Fatal(f"supervisord did not start; it said ({output}):\n{output.read_text(errors='replace').strip()}")
        time.sleep(POLL_S)


def _comes_true(condition: Callable[[], bool], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_S)
    return True


def _exists(pid: int) -> bool:
    """Return whether the process runs. One that has ended but was not waited for has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
