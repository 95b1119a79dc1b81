"""The sets of parameters that a walk-forward chooses from: those of the strategies' file, and the declared grid's."""

import itertools
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

GRID = Path(__file__).with_name("grid.toml")
OWN = "as in the file"
Table = Mapping[str, object]


@dataclass(frozen=True)
class Variant:
    """A strategies' file with one set of parameters for each strategy that has so many."""

    text: str
    labels: Mapping[str, str]
    """By strategy: what is different in it."""


def variants(text: str, grid: Mapping[str, Mapping[str, list[float]]]) -> list[Variant]:
    """Return the file as it is, and one more for each set of the grid."""
    document = tomllib.loads(text)
    tables: Mapping[str, Table] = document["strategies"]
    sets = {name: list(_sets(table, grid.get(str(table.get("rule")), {}))) for name, table in tables.items()}
    most = max((len(found) for found in sets.values()), default=0)
    return [
        _variant(document.get("regime", {}), {name: (tables[name], f[n]) for name, f in sets.items() if n < len(f)})
        for n in range(most)
    ]


def read_grid() -> Mapping[str, Mapping[str, list[float]]]:
    """Return the declared grid, by rule."""
    return tomllib.loads(GRID.read_text())


def _sets(table: Table, values: Mapping[str, list[float]]) -> Iterator[dict[str, float]]:
    yield {}
    for chosen in itertools.product(*values.values()) if values else ():
        changed = dict(zip(values, chosen, strict=True))
        if any(table.get(key) != value for key, value in changed.items()):
            yield changed


def _variant(regime: Table, chosen: Mapping[str, tuple[Table, dict[str, float]]]) -> Variant:
    parts = [_written("regime", regime), "[strategies]\n"]
    parts += [_written(f"strategies.{name}", {**table, **changed}) for name, (table, changed) in chosen.items()]
    labels = {
        name: ", ".join(f"{key} {value:g}" for key, value in changed.items()) or OWN
        for name, (_, changed) in chosen.items()
    }
    return Variant("\n".join(parts), labels)


def _written(name: str, table: Table) -> str:
    """Return a TOML table of texts, numbers and lists of them, which JSON writes in the same way."""
    return f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
