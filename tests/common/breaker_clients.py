"""Clients of one breaker: in this process, or each a process of its own that can be killed at any moment."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Protocol

from common.breaker import Breaker, Force, Rules
from common.redis_link import Link, link_to

SOURCE = "s"
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])

Ask = tuple[str, tuple, dict]
"""A method of Breaker, with its arguments."""


class Client(Protocol):
    """What a test drives."""

    def ask(self, method: str, *arguments: object, **named: object) -> object: ...


class LocalClient:
    """A client in this process. `draw` of its breaker is fixed: the jitter is given."""

    def __init__(self, link: Link, rules: Rules, share: float) -> None:
        self._breaker = Breaker(link, SOURCE, rules, lambda _: share)

    def ask(self, method: str, *arguments: object, **named: object) -> object:
        return getattr(self._breaker, method)(*arguments, **named)


class ProcessClient:
    """A client in a process of its own."""

    def __init__(self, port: int, rules: Rules, share: float) -> None:
        self._port, self._rules, self._share = port, rules, share
        self._start()

    def ask(self, method: str, *arguments: object, **named: object) -> object:
        self._pipe.send((method, arguments, named))
        return self._pipe.recv()

    def die_while_asking(self, method: str, *arguments: object, **named: object) -> None:
        """Send the question and kill the process: nobody knows whether it came to anything. A new one takes over."""
        self._pipe.send((method, arguments, named))
        self.end()
        self._start()

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _start(self) -> None:
        self._pipe, theirs = PROCESSES.Pipe()
        self._process = PROCESSES.Process(target=serve, args=(theirs, self._port, self._rules, self._share))
        self._process.start()
        theirs.close()


def serve(pipe: Connection, port: int, rules: Rules, share: float) -> None:
    """Answer questions until the other end is closed."""
    client = LocalClient(link_to("127.0.0.1", port), rules, share)
    while True:
        try:
            method, arguments, named = pipe.recv()
        except EOFError:
            return
        pipe.send(client.ask(method, *arguments, **named))


def stampede(
    barrier: "multiprocessing.synchronize.Barrier", pipe: Connection, port: int, rules: Rules, now_ms: Callable | int
) -> None:
    """Ask for admission once in each round, all processes at the same moment, each with a clock of its own."""
    breaker = Breaker(link_to("127.0.0.1", port), SOURCE, rules)
    breaker.read()  # connected
    while pipe.recv():
        barrier.wait(20)
        pipe.send(breaker.admit(now_ms))  # type: ignore[arg-type]  # a number here


__all__ = ["PROCESSES", "SOURCE", "Client", "Force", "LocalClient", "ProcessClient", "stampede"]
