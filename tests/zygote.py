"""A process that has imported every stage and the simulator, and forks them on demand: in milliseconds, not a second.

What is forked is the module as `python -m <module>` runs it, a process of its own with its own environment and log;
only its imports are done already. Used by tests.support_fork, one JSON object a line in both directions.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import sys
from typing import NoReturn

MODULES = ("collector", "validator", "features", "storer", "api", "simulator")
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until standard input ends; what was forked ends with this process."""
    for module in MODULES:
        importlib.import_module(f"{module}.__main__")
    gc.collect()
    gc.freeze()
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(_start(order) if "module" in order else _look(order)), flush=True)


def _start(order: dict[str, str | list[str] | dict[str, str]]) -> dict[str, int]:
    pid = os.fork()
    if pid == 0:
        _become(order)
    return {"pid": pid}


def _become(order: dict[str, str | list[str] | dict[str, str]]) -> NoReturn:
    """Be the module: in the child, for good."""
    module, folder, log, environment = (order[name] for name in ("module", "folder", "log", "environment"))
    assert isinstance(environment, dict)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(folder))
    out = os.open(str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number, target in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (out, 2)):
        os.dup2(number, target)
    sys.argv = [str(module), *order["arguments"]]
    runpy.run_module(str(module), run_name="__main__", alter_sys=True)
    sys.exit(0)


def _look(order: dict[str, int]) -> dict[str, int | None]:
    """Return a child's exit code, negative for a signal; None while it lives."""
    pid, status = os.waitpid(order["wait"], os.WNOHANG)
    return {"code": os.waitstatus_to_exitcode(status) if pid else None}


if __name__ == "__main__":
    main()
