"""Measure and print a table: `python -m bench [name ...]`. Each bench/<name>.py with a `run() -> list[Row]` is one."""

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from bench.row import Row, table


def names() -> list[str]:
    """Return the names of all benches."""
    folder = Path(__file__).parent
    return sorted(path.stem for path in folder.glob("[!_]*.py") if "def run() -> list[Row]" in path.read_text())


def main(chosen: Sequence[str]) -> int:
    """Run the chosen benches, or all, and print one table for each."""
    unknown = set(chosen) - set(names())
    if unknown:
        print(f"expected some of {', '.join(names())}, found {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    for name in chosen or names():
        module = importlib.import_module(f"bench.{name}")
        run = cast(Callable[[], list[Row]], module.run)
        print(f"{name}: {(module.__doc__ or '').splitlines()[0]}")
        print(table(run()), end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
