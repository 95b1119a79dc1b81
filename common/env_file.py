"""The file `.env`: what stands in it that says nothing, or something else than it seems to."""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

from dotenv.parser import Binding, parse_stream

from common.errors import Fatal

_NAME = re.compile(r"\s*(?:export\s+)?(\w+)\s*=")
_VARIABLE = re.compile(r"\$\{([^}:]*)(:-[^}]*)?\}")  # as python-dotenv takes it, in quotes of either kind, too


def complaints(file: Path) -> list[str]:
    """Return what is wrong with the lines of a file; nothing of a value, which may be a secret. Fatal: unreadable.

    Who reads the file passes over all of that, and takes the default, or a value with a hole in it.
    """
    known = set(os.environ)
    found: list[str] = []
    for binding in parse_stream(io.StringIO(_text(file))):
        found += _complaints(binding, known)
        known.add(binding.key or "")
    return found


def _text(file: Path) -> str:
    if not file.is_file():
        return ""
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as e:
        raise Fatal(f"{file}: {e.strerror}") from e
    except UnicodeDecodeError:
        raise Fatal(f"{file}: expected UTF-8, found other bytes") from None  # its error quotes all that is there


def _complaints(binding: Binding, known: set[str]) -> Iterator[str]:
    text = binding.original.string
    blank = len(text) - len(text.lstrip())
    where = f"line {binding.original.line + text[:blank].count(chr(10))} of .env"
    if binding.error:
        named = _NAME.match(text)
        yield (
            f"{named[1]}: {where} can't be read: is a quote not closed?"
            if named
            else f"{where} can't be read: expected NAME=value"
        )
    elif binding.key and binding.value is None:
        yield f"{binding.key}: {where}: expected {binding.key}=value"
    elif binding.value and any(name not in known and not other for name, other in _VARIABLE.findall(binding.value)):
        yield (
            f"{binding.key}: {where}: ${{...}} stands for a variable, and there is none of that name; a value with"
            " these signs in it can come from the environment alone"
        )
