"""How the sources of one instrument compared with each other last, from the validators' heartbeats."""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from api.times import iso
from common.heartbeat import Pulse

_INFO = "comparisons"


class _Figure(Struct, frozen=True):
    source_class: str
    sources: tuple[str, str]
    difference_ticks: float
    difference_bp: float
    limit_bp: float
    compared_ms: int
    disagreeing_since_ms: int | None = None


def comparisons(pulses: Iterable[Pulse]) -> dict[str, list[dict[str, object]]]:
    """Return symbol -> what was compared and how it came out; empty where nothing ever was."""
    found: dict[str, list[dict[str, object]]] = {}
    for pulse in pulses:
        told = pulse.info.get(_INFO) if pulse.stage == "validator" else None
        for symbol, figures in _read(told).items():
            found.setdefault(symbol, []).extend(_view(figure) for figure in figures)
    return found


def _read(told: object) -> Mapping[str, list[_Figure]]:
    try:
        return msgspec.convert(told or {}, dict[str, list[_Figure]])
    except msgspec.ValidationError:  # of another release
        return {}


def _view(figure: _Figure) -> dict[str, object]:
    since_ms = figure.disagreeing_since_ms
    return {
        "source_class": figure.source_class,
        "sources": figure.sources,
        "difference_ticks": figure.difference_ticks,
        "difference_bp": figure.difference_bp,
        "limit_bp": figure.limit_bp,
        "compared_at": iso(figure.compared_ms),
        "disagreeing_since": None if since_ms is None else iso(since_ms),
    }
