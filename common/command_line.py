"""The words of a command line, called as the operator writes them: SPEED=60 rather than --speed 60."""

import math
import shlex
from collections.abc import Callable, Sequence

from common.errors import Fatal


def whole(name: str, such_as: int) -> Callable[[str], int]:
    """Return what makes a whole number of a word. Fatal says under this name what was expected and found."""

    def read(word: str) -> int:
        try:
            return int(word)
        except ValueError as e:
            raise Fatal(f"{name}: expected a whole number such as {such_as}, found {word!r}") from e

    return read


def decimal(name: str, such_as: float) -> Callable[[str], float]:
    """Return what makes a finite number of a word. Fatal says under this name what was expected and found."""
    expected = f"{name}: expected a number such as {such_as:g}, found"

    def read(word: str) -> float:
        try:
            value = float(word)
        except ValueError as e:
            raise Fatal(f"{expected} {word!r}") from e
        if not math.isfinite(value):
            raise Fatal(f"{expected} {word!r}")
        return value

    return read


def one_of(name: str, choices: Sequence[str]) -> Callable[[str], str]:
    """Return what lets these words pass and no other. Fatal lists them."""

    def read(word: str) -> str:
        if word not in choices:
            raise Fatal(f"{name}: expected one of {', '.join(choices)}, found {word!r}")
        return word

    return read


def which_installation(word: str) -> bool | None:
    """Return whether the demo is meant; None: whichever runs."""
    choices = {"1": True, "0": False, "": None}
    if word not in choices:
        raise Fatal(f"DEMO: expected 1 for the demo or 0 for live, found {word!r}")
    return choices[word]


def words_of(line: str) -> list[str]:
    """Return the words of CMD, split as a shell would."""
    try:
        return shlex.split(line)
    except ValueError as e:
        raise Fatal(f"CMD: expected every quote closed, found {line!r}") from e
