"""A user's TOML file (symbols, indicators, strategies, an account's rules): its text, and what stands in it."""

import tomllib
from pathlib import Path
from typing import Any

from common.errors import Fatal


def read_text(setting: str, file: Path) -> str:
    """Return a file's text. Fatal names the setting that names the file, and what is wrong."""
    try:
        return file.read_text(encoding="utf-8-sig")  # some editors begin it with a mark
    except OSError as e:
        raise Fatal(f"{setting}: {file}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        line = e.object.count(b"\n", 0, e.start) + 1
        raise Fatal(f"{setting}: {file}, line {line}: expected UTF-8, found other bytes") from e


def tables(setting: str, where: str, text: str) -> dict[str, Any]:
    """Return what a text holds. where: the file. Fatal, with the line, if it is no TOML."""
    try:
        return tomllib.loads(f"{text}\n")  # so that a mistake at its end has a line too
    except ValueError as e:  # of TOML, or a number of thousands of digits
        raise Fatal(f"{setting}: {where}: {e}") from e
    except RecursionError as e:
        raise Fatal(f"{setting}: {where}: expected lists and tables a few levels deep, found hundreds") from e
