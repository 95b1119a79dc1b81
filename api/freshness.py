"""How old what we have is: a symbol's data, in stream time, and the engine's last pass."""

from api.pipeline_state import EnginePass, SymbolState
from api.times import Now
from common.sessions import is_open

# Longest silence of a symbol in an open session. Vendors' free chart endpoints refresh every 10 s, so two refreshes
# may fail; a signal that rests on older quotes than that is advice about the past.
SILENT_AFTER_MS = 30_000


def data_age_ms(state: SymbolState, now: Now) -> int | None:
    """Return the stream time since the market last moved, as far as we know; None if nothing ever came."""
    if state.lane is None or state.lane.market_ms is None or now.stream_ms is None:
        return None
    return max(0, now.stream_ms - state.lane.market_ms)


def silent(state: SymbolState, now: Now, session: str) -> bool:
    """Tell whether a symbol whose session is open has given nothing for too long, beyond its declared delay.

    From the opening on it has as long for the first quote: what it gave before the break is no sign of silence.
    """
    limit_ms = SILENT_AFTER_MS + (state.lane.delay_ms if state.lane is not None else 0)
    if now.stream_ms is not None and not is_open(session, now.stream_ms - limit_ms):
        return False
    age_ms = data_age_ms(state, now)
    return age_ms is None or age_ms > limit_ms


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
    return lag_ms is not None and lag_ms <= ttl_s * 1000
