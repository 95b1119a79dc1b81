"""What a person sees of a running installation: text from the api's replies. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

Json = Mapping[str, object]
NOTHING: Json = {}
COMPONENTS = ("redis", "database", "collector", "validator", "features", "storer", "api")


@dataclass(frozen=True)
class View:
    """The api's replies at one moment; empty where there was none."""

    health: Json = NOTHING
    features: Json = NOTHING
    signals: Json = NOTHING


def part(json: Json, *path: str) -> Json:
    """Return the object at a path; an empty one if there is none."""
    for name in path:
        found = json.get(name)
        json = cast(Json, found) if isinstance(found, dict) else NOTHING
    return json


def unready(view: View, stages: Sequence[str]) -> dict[str, str]:
    """Return the stages that do not work yet, and what is known of each."""
    if not view.health:
        return dict.fromkeys(stages, "the api does not answer yet")
    found = {}
    for stage in stages:
        component = part(view.health, "components", stage)
        if component.get("status") not in ("healthy", "degraded"):
            found[stage] = text(component.get("message")) or text(component.get("status")) or "nothing heard of it yet"
    return found


def text(value: object) -> str:
    """Return a value as it is shown; unknown is empty."""
    return "" if value is None else str(value)


def duration(seconds: float) -> str:
    """Return a duration in the unit that suits it, such as "0.4 s", "3 min", "2 h"."""
    for limit, unit, size in ((10, "s", 0.0), (120, "s", 1.0), (7200, "min", 60.0), (172_800, "h", 3600.0)):
        if seconds < limit:
            return f"{seconds:.1f} {unit}" if not size else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def component_lines(view: View) -> list[str]:
    """Return one line per component that is not healthy, after one that sums up."""
    components = part(view.health, "components")
    states = {name: part(components, name) for name in COMPONENTS}
    well = [name for name, state in states.items() if state.get("status") == "healthy"]
    lines = [f"{text(view.health.get('status')) or 'the api does not answer':<10} {' '.join(well)}".rstrip()]
    for name, state in states.items():
        if name not in well:
            known = text(state.get("status")) or "unknown"
            lines.append(f"  {known:<9} {name:<10} {text(state.get('message'))}".rstrip())
    return lines


def picture(view: View) -> list[str]:
    """Return the state as a few lines: components, then one line per symbol."""
    return [*component_lines(view), *symbol_lines(view)]


def symbol_lines(view: View) -> list[str]:
    """Return one line per symbol: its price, how old it is, who said so."""
    return []


def signal_lines(view: View) -> list[tuple[str, str]]:
    """Return (identity, line) for each signal that is served now."""
    return []
