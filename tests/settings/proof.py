"""Which test shows the effect of which variable, and the settings as an operator gives them."""

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import pytest
from dotenv import dotenv_values

from common.settings import Settings, load_settings

EXAMPLE = Path(__file__).resolve().parents[2] / ".env.example"
DOCUMENTED = tuple(dotenv_values(EXAMPLE))
"""Every variable, in the order of the file."""

Test = TypeVar("Test", bound=Callable[..., object])


def proves(*variables: str) -> Callable[[Test], Test]:
    """Mark a test that would fail if these variables were ignored."""
    unknown = set(variables) - set(DOCUMENTED)
    if unknown:
        raise ValueError(f"expected variables of {EXAMPLE.name}, found {', '.join(sorted(unknown))}")

    def mark(test: Test) -> Test:
        setattr(test, "proven_variables", variables)  # noqa: B010  # functions have no such attribute by their type
        return test

    return mark


def proofs() -> dict[str, list[str]]:
    """Return the names of the tests beside this file that prove each variable."""
    found: dict[str, list[str]] = {}
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        module = import_module(f"{__package__}.{path.stem}")
        for name, test in vars(module).items():
            if name.startswith("test_"):
                for variable in getattr(test, "proven_variables", ()):
                    found.setdefault(variable, []).append(f"{path.stem}.{name}")
    return found


class Given:
    """Sets the environment to some variables over those of the test's own surroundings, and nothing else of ours."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, surroundings: dict[str, object]) -> None:
        self._monkeypatch, self._surroundings = monkeypatch, surroundings

    def __call__(self, **variables: object) -> Settings:
        """Return the settings that a process starts with under these variables."""
        self.clear()
        for name, value in (self._surroundings | variables).items():
            self._monkeypatch.setenv(name, str(value))
        return load_settings()

    def clear(self) -> None:
        """Take every variable of ours out of the environment."""
        for name in list(os.environ):
            if name.lower() in Settings.model_fields:
                self._monkeypatch.delenv(name)
