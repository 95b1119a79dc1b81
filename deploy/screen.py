"""What a person sees of a running installation, as text. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeGuard, cast

from common.messages import Signal

Json = Mapping[str, object]
NOTHING: Json = MappingProxyType({})
COMPONENTS = ("redis", "database", "collector", "validator", "features", "storer", "api")


@dataclass(frozen=True)
class View:
    """What was read at one moment; empty where nothing answered."""

    health: Json = field(default_factory=dict)
    symbols: Sequence[Json] = ()
    """As in /api/symbols."""
    prices: Mapping[str, float] = field(default_factory=dict)
    """Symbol -> last price."""
    signals: Sequence[Signal] = ()
    """The newest of each symbol, expired or not."""


def part(json: Json, *path: str) -> Json:
    """Return the object at a path; an empty one if there is none."""
    for name in path:
        found = json.get(name)
        json = cast(Json, found) if isinstance(found, dict) else NOTHING
    return json


def answers(view: View) -> bool:
    """Tell whether the api said how it is."""
    return bool(text(view.health.get("status")))


def unready(view: View, stages: Sequence[str]) -> dict[str, str]:
    """Return the stages that do not work yet, and what is known of each."""
    if not view.health:
        return dict.fromkeys(stages, "the api does not answer yet")
    found = {}
    for stage in stages:
        component = part(view.health, "components", stage)
        if component.get("status") not in ("healthy", "degraded"):
            found[stage] = text(component.get("message")) or text(component.get("status")) or "nothing heard of it yet"
    no_cycle_yet = part(view.health, "components", "data_pipeline").get("clock_age_seconds", 0.0) is None
    if no_cycle_yet and "collector" in stages:
        found.setdefault("collector", "its first cycle has not ended yet")
    return found


def waiting(missing: Mapping[str, str]) -> str:
    """Return what is waited for, stages with the same reason together."""
    reasons = dict.fromkeys(missing.values())
    return "; ".join(f"{', '.join(s for s in missing if missing[s] == why)} ({why})" for why in reasons)


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
    simulated = "  (simulated)" if view.health.get("simulated") else ""
    lines = [f"{text(view.health.get('status')) or 'the api does not answer':<10} {' '.join(well)}{simulated}".rstrip()]
    for name, state in states.items():
        if name not in well:
            known = text(state.get("status")) or "unknown"
            lines.append(f"  {known:<9} {name:<13} {text(state.get('message'))}".rstrip())
    return [*lines, *data_lines(view)]


def data_lines(view: View) -> list[str]:
    """Return why the data can't be trusted where every process works: silent symbols, failing vendors."""
    pipeline = part(view.health, "components", "data_pipeline")
    state = text(pipeline.get("status"))
    lines = [f"  {state:<9} {'data':<13} {text(pipeline.get('message'))}"] if state not in ("", "healthy") else []
    return lines + source_lines(view)


def source_lines(view: View) -> list[str]:
    """Return one line per vendor that is known not to work."""
    sources = part(view.health, "data_sources")
    bad = [name for name in sources if part(sources, name).get("is_healthy") is False]
    return [f"  {'failing':<9} {name:<13} {_ailment(part(sources, name))}".rstrip() for name in bad]


def _ailment(source: Json) -> str:
    forced = part(source, "breaker", "forced")
    if forced.get("state") == "open":
        return f"forced open ({text(forced.get('by'))}): {text(forced.get('why'))}"
    return text(source.get("last_error")) or text(part(source, "blocked").get("detail"))


def picture(view: View) -> list[str]:
    """Return the state as a few lines: components, what was done so far, then one line per symbol."""
    return [*component_lines(view), *figure_lines(view), *(symbol_line(s, view.prices) for s in view.symbols)]


def figure_lines(view: View) -> list[str]:
    """Return one line of figures, those that are known."""
    performance = part(view.health, "performance")
    named = {"data_points_collected": "quote", "features_computed": "indicator set", "signals_generated": "signal"}
    known = [_counted(count, name) for key, name in named.items() if _is_number(count := performance.get(key))]
    return [f"  {', '.join(known)}"] if known else []


def _counted(count: float, name: str) -> str:
    return f"{count:,.0f} {name}{'' if count == 1 else 's'}"


def symbol_line(symbol: Json, prices: Mapping[str, float]) -> str:
    """Return one symbol's price, how old it is, who said so; or why there is none."""
    name, status = text(symbol.get("symbol")), part(symbol, "status")
    price, age_ms = prices.get(name), symbol.get("data_age_ms")
    digits = symbol.get("digits")
    shown = "-" if price is None else f"{price:.{digits if isinstance(digits, int) else 2}f}"
    age = f"{duration(age_ms / 1000)} old" if isinstance(age_ms, int) else "never seen"
    return f"  {name:<8} {shown:>12}  {age:<11}  {text(status.get('source')):<12} {_remark(symbol, status)}".rstrip()


def _remark(symbol: Json, status: Json) -> str:
    if status.get("detail"):
        return text(status["detail"])
    if symbol.get("session_open") is False:
        return f"closed until {text(symbol.get('next_open'))[:16].replace('T', ' ')} UTC"
    return "stale" if symbol.get("stale") else ""


def signal_line(signal: Signal) -> str:
    """Return one signal for a person, with its first two reasons."""
    at = f"{datetime.fromtimestamp(signal.published_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    entry, stop, target = (_price(p) for p in (signal.entry, signal.stop_loss, signal.take_profit_1))
    return (
        f"{at}  {signal.action:<4} {signal.symbol:<7} {signal.timeframe:<3} entry {entry}, stop {stop}, "
        f"target {target}: {'; '.join(signal.reasons[:2])}"
    )


def _price(value: float) -> str:
    return f"{value:.5f}".rstrip("0").rstrip(".")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float)
