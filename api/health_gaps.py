"""What /health says of the gap ledger: how much is missing now, where most, and whether for long."""

from collections.abc import Sequence

from api.health_components import DEGRADED, HEALTHY, Component
from api.health_survey import Survey
from api.times import iso
from common.gap_history import STATES, LaneRecord

# Vendors' history follows the market, by twenty minutes in the worst case; what is missing longer needs a look.
MISSING_LONG_MS = 30 * 60_000


def gaps_component(survey: Survey) -> Component:
    """Return the state of the ledger, of the lanes that feed a series now."""
    database = survey.database
    if database.error or survey.pipeline is None:
        return Component(DEGRADED, "not known: " + (database.error or "Redis is away"), _figures((), None))
    lanes = [lane for lane in database.lanes if _feeds(survey, lane)]
    short = [lane for lane in lanes if lane.bars["missing"]]
    worst = max(short, key=lambda lane: (lane.bars["missing"], lane.timeframe), default=None)
    figures = _figures(lanes, worst)
    now_ms = survey.now.stream_ms or 0
    long = [
        lane for lane in short if lane.missing_since_ms is not None and now_ms - lane.missing_since_ms > MISSING_LONG_MS
    ]
    if long:
        names = ", ".join(f"{lane.symbol} {lane.timeframe}" for lane in long)
        return Component(DEGRADED, f"missing for more than {MISSING_LONG_MS // 60_000} minutes: {names}", figures)
    message = f"{figures['missing']} bars are missing, being repaired" if short else "no bar is missing"
    return Component(HEALTHY, message if lanes else "no lane is watched yet", figures)


def _feeds(survey: Survey, lane: LaneRecord) -> bool:
    state = survey.pipeline.symbols.get(lane.symbol) if survey.pipeline else None
    return state is not None and state.source_class == lane.source_class


def _figures(lanes: Sequence[LaneRecord], worst: LaneRecord | None) -> dict[str, object]:
    totals: dict[str, object] = {state: sum(lane.bars[state] for lane in lanes) for state in STATES}
    return {**totals, "worst_lane": None if worst is None else _worst(worst)}


def _worst(lane: LaneRecord) -> dict[str, object]:
    return {
        "symbol": lane.symbol,
        "source_class": lane.source_class,
        "timeframe": lane.timeframe,
        "missing": lane.bars["missing"],
        "oldest": None if lane.oldest_missing_ms is None else iso(lane.oldest_missing_ms),
        "next_attempt": None if lane.next_attempt_ms is None else iso(lane.next_attempt_ms),
    }
