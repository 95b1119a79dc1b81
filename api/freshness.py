"""How old what we have is: a symbol's data, in stream time, and the engine's last pass."""

from api.pipeline_state import EnginePass
from api.symbol_columns import SymbolState
from api.times import Now
from common.sessions import is_open

# Longest silence of a symbol in an open session. Vendors' free chart endpoints refresh every 10 s, so two refreshes
# may fail; a signal that rests on older quotes than that is advice about the past.
SILENT_AFTER_MS = 30_000

# How far market time, and what the stages wrote, may be ahead of the stream's time as we know it: vendors' clocks are
# ahead by network and rounding. What is further ahead was written when a clock was wrong.
AHEAD_MS = 5_000


def from_the_future(at_ms: int, now: Now) -> bool:
    """Tell whether a stream time lies further ahead than clocks differ: it says nothing of now."""
    return now.stream_ms is not None and at_ms - now.stream_ms > AHEAD_MS * now.speed


def data_age_ms(state: SymbolState, now: Now) -> int | None:
    """Return the stream time since the market last moved, as far as we know; None if nothing ever came."""
    if state.lane is None or state.lane.market_ms is None or now.stream_ms is None:
        return None
    return max(0, now.stream_ms - state.lane.market_ms)


def data_from_the_future(state: SymbolState, now: Now) -> bool:
    """Tell whether a symbol's newest data came when a clock was wrong: its age is not known."""
    return state.lane is not None and state.lane.market_ms is not None and from_the_future(state.lane.market_ms, now)


def silent(state: SymbolState, now: Now, session: str) -> bool:
    """Tell whether a symbol whose session is open has given nothing for too long, beyond its declared delay.

    From the opening on it has as long for the first quote: what it gave before the break is no sign of silence.
    """
    limit_ms = SILENT_AFTER_MS + (state.lane.delay_ms if state.lane is not None else 0)
    if now.stream_ms is not None and not is_open(session, now.stream_ms - limit_ms):
        return False
    age_ms = data_age_ms(state, now)
    return age_ms is None or age_ms > limit_ms or data_from_the_future(state, now)


def engine_lag_ms(engine: EnginePass | None, now: Now) -> int | None:
    """Return the real time since the engine's last clock-confirmed pass; None if it never made one.

    An engine that works through old entries is as late as they are: the larger of both ages counts.
    """
    if engine is None or now.stream_ms is None:
        return None
    behind_ms = (now.stream_ms - engine.clock_ms) / now.speed
    return max(0, now.wall_ms - engine.wall_ms, int(behind_ms))


def engine_current(engine: EnginePass | None, now: Now, ttl_s: float) -> bool:
    """Tell whether values of this engine are current: within FEATURE_CACHE_TTL of its last pass."""
    lag_ms = engine_lag_ms(engine, now)
    if engine is None or lag_ms is None or from_the_future(engine.clock_ms, now):
        return False
    return lag_ms <= ttl_s * 1000 and engine.wall_ms - now.wall_ms <= now.limit_ms
