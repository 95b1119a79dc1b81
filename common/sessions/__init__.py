"""When each kind of instrument trades: closed is not stale, open and silent is."""

from common.sessions.expected import after_open_time, expected_opens, trades_within
from common.sessions.hours import SESSIONS, is_open, next_close_ms, next_open_ms

__all__ = ["SESSIONS", "after_open_time", "expected_opens", "is_open", "next_close_ms", "next_open_ms", "trades_within"]
