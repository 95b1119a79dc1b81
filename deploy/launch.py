"""Start, watch and stop an installation: `python -m deploy.launch demo|run|start|start-demo|stop|status|logs|ctl`.

run and start are live: real vendors, settings from the environment and `.env`, data in STATE_DIR (./data).
demo and start-demo play against simulated vendors, on ports of their own, with ./data-demo emptied at each start.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from common.command_line import decimal, one_of, which_installation, whole, words_of
from common.errors import Fatal
from deploy import supervise
from deploy.bring_up import bring_up
from deploy.layout import DemoOptions, Folders, Layout, demo_folders, demo_layout, live_folders, live_layout
from deploy.observer import observer_of
from deploy.redis_choice import ACCEPT_VARIABLE
from deploy.screen import answers
from deploy.tail import follow as follow_logs
from deploy.watch import alive_check, follow, status_lines, wait_until_ready

LIMITS = ("none", "real")
NO_ANSWER, NOTHING_RUNS = 1, 3  # exit codes of `status`; 3 is "not running", as systemd has it


class Interrupted(Exception):
    """SIGTERM or a closed terminal; Ctrl-C is Python's own KeyboardInterrupt."""


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks, and return the exit code."""
    try:
        options = parser().parse_args(arguments)
        action: Callable[[argparse.Namespace], int] = options.action
        return action(options)
    except (Fatal, supervise.SupervisorAway) as e:
        print(e, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, Interrupted):
        return 0


def run_foreground(options: argparse.Namespace) -> int:
    """Start, show what happens until Ctrl-C, stop everything."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
        signal.signal(signal.SIGHUP, _interrupt)
    layout = _layout(options)
    began = time.monotonic()
    process = bring_up(layout, _accepted(), foreground=True)
    try:
        alive = alive_check(process)
        observer = observer_of(layout.folders)
        ready = wait_until_ready(observer, alive, say)
        say(_ready_line(layout, ready, time.monotonic() - began))
        # A script's shell starts what it leaves behind (&) deaf to Ctrl-C.
        deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        say(f"{'`make stop`' if deaf else 'Ctrl-C'} stops everything.\n")
        follow(observer, alive, sys.stdout)
    except (KeyboardInterrupt, Interrupted):
        return stop(layout.folders)
    if process.returncode == 0:
        say("stopped from elsewhere")
        return 0
    say(f"supervisord ended by itself (exit code {process.returncode}); why: {layout.folders.logs}/supervisord.log")
    return 1


def start_background(options: argparse.Namespace) -> int:
    """Start, and return as soon as all stages work: 0, or 1 if they don't within a minute (they go on trying)."""
    layout = _layout(options)
    began = time.monotonic()
    process = bring_up(layout, _accepted(), foreground=False)
    ready = wait_until_ready(observer_of(layout.folders), alive_check(process), say)
    say(_ready_line(layout, ready, time.monotonic() - began))
    return 0 if ready else 1


def stop_background(options: argparse.Namespace) -> int:
    """Stop the installation that runs."""
    return stop(_the_one_that_runs(options))


def show_status(options: argparse.Namespace) -> int:
    """Print what runs and how it is: 0, 1 where an api does not answer, 3 where nothing runs."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
    running = _running(options)
    if not running:
        say("nothing runs here; `make start` or `make start-demo` starts it")
        return NOTHING_RUNS
    views = {folders: observer_of(folders).view() for folders in running}
    for folders, view in views.items():
        say(f"{folders.mode}, data in {folders.data}")
        say("\n".join(status_lines(folders, view)))
    return 0 if all(map(answers, views.values())) else NO_ANSWER


def show_logs(options: argparse.Namespace) -> int:
    """Print the end of all logs, and go on with what is added until Ctrl-C."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    candidates = _running(options) or [f for f in _candidates(options) if f.logs.is_dir()]
    if not candidates:
        raise Fatal("no logs: nothing was started here yet")
    follow_logs(candidates[0].logs, sys.stdout, once=options.once)
    return 0


def control(options: argparse.Namespace) -> int:
    """Hand the words to supervisorctl."""
    words = [*options.words, *words_of(options.line)]
    return supervise.control(_the_one_that_runs(options), words)


def stop(folders: Folders) -> int:
    """Stop everything of an installation. A second Ctrl-C does not interrupt that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    began = time.monotonic()
    say(f"\nstopping {folders.mode} ...")
    ended = supervise.stop(folders)
    took_s = time.monotonic() - began
    say(f"stopped in {took_s:.1f} s" if ended else f"still stopping after {took_s:.0f} s; see {folders.logs}")
    return 0 if ended else 1


def say(line: str) -> None:
    """Print at once, pipe or not."""
    print(line, flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted


def _ready_line(layout: Layout, ready: bool, took_s: float) -> str:
    late = f"not all ready after {took_s:.0f} s; they go on trying; why: {layout.folders.logs}"
    state = f"ready in {took_s:.1f} s" if ready else late
    paths = {"dashboard": "/", "signals": "/api/signals", "health": "/health"}
    return "\n".join([state, *(f"  {name:<9} {layout.api_url}{path}" for name, path in paths.items())])


def _layout(options: argparse.Namespace) -> Layout:
    home, environment = Path.cwd(), dict(os.environ)
    if options.demo is not True:
        return live_layout(home, environment)
    paths = tuple(Path(word) for words in options.data for word in words.split())
    chosen = DemoOptions(options.speed, options.interval, options.limits, paths, options.start, options.seed)
    return demo_layout(home, environment, chosen)


def _accepted() -> tuple[str, ...]:
    return tuple(word.strip() for word in os.environ.get(ACCEPT_VARIABLE, "").split(",") if word.strip())


def _candidates(options: argparse.Namespace) -> list[Folders]:
    home = Path.cwd()
    both = [live_folders(home), demo_folders(home)]
    return [f for f in both if options.demo is None or (f.mode == "demo") == options.demo]


def _running(options: argparse.Namespace) -> list[Folders]:
    return [folders for folders in _candidates(options) if supervise.is_running(folders)]


def _the_one_that_runs(options: argparse.Namespace) -> Folders:
    running = _running(options)
    if len(running) == 2:
        raise Fatal("live and demo both run: say which, DEMO=1 for the demo or DEMO=0 for live")
    if not running:
        raise Fatal("nothing runs here")
    return running[0]


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m deploy.launch", description=__doc__)
    commands = top.add_subparsers(required=True)
    for name, action, demo in (
        ("run", run_foreground, False),
        ("start", start_background, False),
        ("demo", run_foreground, True),
        ("start-demo", start_background, True),
    ):
        command = commands.add_parser(name, help=action.__doc__)
        command.set_defaults(action=action, demo=demo)
        if demo:
            _add_demo_options(command)
    for name, action in (("stop", stop_background), ("status", show_status), ("logs", show_logs), ("ctl", control)):
        command = commands.add_parser(name, help=action.__doc__)
        command.add_argument(
            "--demo", type=which_installation, default=None, help="1: the demo, 0: live; default: what runs"
        )
        command.set_defaults(action=action)
        if name == "logs":
            command.add_argument("--once", action="store_true", help="print what is there and return")
        if name == "ctl":
            command.add_argument("--line", default="", help="the words as one line")
            command.add_argument("words", nargs="*", help="words for supervisorctl, such as: restart validator")
    return top


def _add_demo_options(command: argparse.ArgumentParser) -> None:
    default = DemoOptions()
    command.add_argument("--data", action="append", default=[], help="price histories to play (default: made-up)")
    command.add_argument(
        "--speed", type=decimal("SPEED", 60), default=default.speed, help="simulated seconds a second; 0: no limit"
    )
    command.add_argument(
        "--interval", type=decimal("INTERVAL", 0.5), default=default.interval_s, help="seconds between two cycles"
    )
    command.add_argument(
        "--limits", type=one_of("LIMITS", LIMITS), default=default.limits, help="the vendors' limits: none or real"
    )
    command.add_argument("--start", default=default.start, help="ISO 8601 time at which the simulation begins")
    command.add_argument("--seed", type=whole("SEED", 7), default=default.seed, help="of the made-up prices and faults")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
