"""Follow an installation through its api: until it is ready, and what happens then."""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TextIO, cast

from deploy import screen
from deploy.layout import STAGES, Folders
from deploy.screen import NOTHING, Json, View
from deploy.supervise import Process, SupervisorAway, processes

ANSWER_S = 2.0
POLL_S = 0.1
FIRST_WORD_S = 5.0  # of silence before it is said what is being waited for
TERMINAL_S = 2.0  # between two pictures on a terminal
PLAIN_S = 10.0  # between two in a file


class ApiClient:
    """Reads the api's JSON."""

    def __init__(self, url: str, token: str = "") -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> Json:
        """Return the object at a path, whatever its HTTP status; an empty one if nothing answers."""
        request = urllib.request.Request(self._url + path, headers=self._headers)  # noqa: S310  # our own http URL
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_S) as reply:  # noqa: S310
                return _object(reply.read())
        except urllib.error.HTTPError as e:
            with e:
                return _object(e.read())
        except (OSError, ValueError):
            return NOTHING

    def view(self) -> View:
        """Return everything that the screen shows."""
        return View(self.get("/health"), self.get("/api/features"), self.get("/api/signals?limit=100"))


def _object(body: bytes) -> Json:
    found = json.loads(body)
    return cast(Json, found) if isinstance(found, dict) else NOTHING


def wait_until_ready(api: ApiClient, alive: Callable[[], bool], limit_s: float, say: Callable[[str], None]) -> bool:
    """Return True once every stage works; False after the limit, or when supervisord has ended."""
    end, next_word = time.monotonic() + limit_s, time.monotonic() + FIRST_WORD_S
    while alive() and time.monotonic() < end:
        missing = screen.unready(View(health=api.get("/health")), STAGES)
        if not missing:
            return True
        if time.monotonic() >= next_word:
            next_word += FIRST_WORD_S
            say("  waiting for " + "; ".join(f"{stage}: {why}" for stage, why in missing.items()))
        time.sleep(POLL_S)
    return False


def follow(api: ApiClient, alive: Callable[[], bool], out: TextIO) -> None:
    """Show the state again and again, and each new signal once, until supervisord ends or an exception comes."""
    terminal = out.isatty()
    shown: set[str] = set()
    height = 0
    while alive():
        view = api.view()
        picture = screen.picture(view)
        new = [line for key, line in screen.signal_lines(view) if key not in shown]
        shown.update(key for key, _ in screen.signal_lines(view))
        if terminal and height:
            out.write(f"\x1b[{height}A\x1b[J")
        out.write("\n".join([*new, *picture]) + "\n")
        out.flush()
        height = len(picture)
        _pause(alive, TERMINAL_S if terminal else PLAIN_S)


def _pause(alive: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while alive() and time.monotonic() < end:
        time.sleep(POLL_S)


def status_lines(folders: Folders, api: ApiClient) -> list[str]:
    """Return what supervisord and the api say of an installation that runs."""
    found: list[Process] = []
    with contextlib.suppress(SupervisorAway):
        found = processes(folders)
    lines = [f"  {p.name:<14} {p.state.lower():<9} {_since(p)}" for p in sorted(found, key=lambda p: p.name)]
    return [*lines, *(f"  {line}" for line in screen.picture(api.view()))]


def _since(process: Process) -> str:
    if not process.pid:
        return ""
    return f"pid {process.pid:<8} for {screen.duration(max(0.0, time.time() - process.since_s))}"


def alive_check(process: "subprocess.Popen[bytes]") -> Callable[[], bool]:
    """Return a function that says whether the process runs."""
    return lambda: process.poll() is None
