"""Follow an installation through its api: until it is ready, and what happens then."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import TextIO

from deploy import screen
from deploy.layout import STAGES, Folders
from deploy.observer import Observer
from deploy.screen import View
from deploy.supervise import Process, SupervisorAway, processes

READY_S = 60.0  # so long a start is waited for
POLL_S = 0.1
FIRST_WORD_S = 5.0  # of silence before it is said what is being waited for
TERMINAL_S = 2.0  # between two pictures on a terminal
PLAIN_S = 10.0  # between two in a file


def wait_until_ready(
    observer: Observer, alive: Callable[[], bool], say: Callable[[str], None], stages: Sequence[str] = STAGES
) -> bool:
    """Return True once these stages work; False after READY_S, or when supervisord has ended."""
    end, next_word = time.monotonic() + READY_S, time.monotonic() + FIRST_WORD_S
    while alive() and time.monotonic() < end:
        missing = screen.unready(View(health=observer.get("/health")), stages)
        if not missing:
            return True
        if time.monotonic() >= next_word:
            next_word += FIRST_WORD_S
            say(f"  waiting for {screen.waiting(missing)}")
        time.sleep(POLL_S)
    return False


def follow(observer: Observer, alive: Callable[[], bool], out: TextIO) -> None:
    """Show the state again and again, and each new signal once, until supervisord ends or an exception comes."""
    terminal = out.isatty()
    known = {signal.id for signal in observer.view().signals}
    height = 0
    while alive():
        view = observer.view()
        columns = shutil.get_terminal_size().columns if terminal else None
        picture = [line[:columns] for line in screen.picture(view)]  # a wrapped line would spoil the redrawing
        signals = sorted(view.signals, key=lambda signal: signal.published_ms)
        new = [screen.signal_line(signal) for signal in signals if signal.id not in known]
        known = {signal.id for signal in view.signals}
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


def status_lines(folders: Folders, view: View) -> list[str]:
    """Return what supervisord says of an installation that runs, and what was read of it."""
    found: list[Process] = []
    with contextlib.suppress(SupervisorAway):
        found = processes(folders)
    lines = [f"  {p.name:<14} {p.state.lower():<9} {_since(p)}" for p in sorted(found, key=lambda p: p.name)]
    return [*lines, *(f"  {line}" for line in screen.picture(view))]


def _since(process: Process) -> str:
    if not process.pid:
        return ""
    return f"pid {process.pid:<8} for {screen.duration(max(0.0, time.time() - process.since_s))}"


def alive_check(process: "subprocess.Popen[bytes]") -> Callable[[], bool]:
    """Return a function that says whether the process runs."""
    return lambda: process.poll() is None
