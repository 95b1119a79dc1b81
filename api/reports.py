"""What the bodies of the three POST routes mean: pure functions from a JSON object to a checked report."""

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Literal, TypeGuard

from api.errors import invalid, shown
from api.plain_text import plain
from api.positions import Closing, Position
from common.messages import Signal

FOLLOWS_WITHIN_MS = 5 * 60_000
"""How long after a signal's expiry the report of its fill may come: one client tries for 15 s, others longer."""

Body = dict[str, object]
EXIT_REASONS = ("TP1", "TP2", "SL", "TIME", "MANUAL")
_NAME = re.compile(r"[!-~]{1,64}")
_SYMBOL = re.compile(r"(?=.{1,64}\Z)[!-~]+( +[!-~]+)*")
_TRADE_ID = "1 to 64 printable ASCII characters without blanks, or a whole number"


@dataclass(frozen=True)
class Fill:
    """A checked report of a fill."""

    trade_id: str
    symbol: str
    """As the client wrote it: the broker's name."""
    action: Literal["BUY", "SELL"]
    lots: float
    entry: float
    stop: float
    target: float
    alpha_id: str

    def followed(self, signal: Signal, at_ms: int) -> bool:
        """Tell whether it may be the fill of a signal, when it is reported at this moment of the stream's time.

        It carries no id. A target that isn't ahead of it is another signal's: a position would end at once by it.
        """
        up = 1 if self.action == "BUY" else -1
        return (
            (plain(signal.strategy), signal.action) == (self.alpha_id, self.action)
            and at_ms - signal.expires_ms <= FOLLOWS_WITHIN_MS
            and (signal.take_profit_2 - self.entry) * up > 0
        )

    def position(
        self, symbol: str, opened_ms: int, wall_ms: int, target: float, signal_id: str, source_class: str
    ) -> Position:
        """Return the position that it opened, with what the api knows beside it."""
        return Position(
            self.trade_id, symbol, self.alpha_id, self.action, self.lots, self.entry, self.stop, target, opened_ms,
            wall_ms, signal_id, source_class=source_class,
        )  # fmt: skip


@dataclass(frozen=True)
class Close:
    """A checked report of a close."""

    trade_id: str
    reason: str
    price: float
    pnl: float | None

    def closing(self, at_ms: int) -> Closing:
        """Return the end of the position."""
        return Closing(at_ms, "reported", self.price, self.reason, self.pnl)


def fill_of(body: Body) -> Fill:
    """Return the fill that POST /api/executions reports. ApiError 422 names the field that is wrong."""
    action = body.get("action")
    if action not in ("BUY", "SELL"):
        raise invalid("action is wrong", "BUY or SELL", shown(action))
    return Fill(
        trade_id=_trade_id(body),
        symbol=symbol_name_of(body),
        action=action,
        lots=_positive(body, "lots"),
        entry=_positive(body, "entry_price"),
        stop=_price(body, "stop_loss"),
        target=_price(body, "take_profit"),
        alpha_id=str(body.get("alpha_id") or ""),
    )


def close_of(body: Body) -> Close:
    """Return the close that POST /api/executions/close reports. ApiError 422 names the field that is wrong."""
    reason = body.get("exit_reason")
    if reason not in EXIT_REASONS:
        raise invalid("exit_reason is wrong", "one of " + ", ".join(EXIT_REASONS), shown(reason))
    pnl = body.get("pnl")
    if pnl is not None and not is_number(pnl):
        raise invalid("pnl is wrong", "a number", shown(pnl))
    told = None if pnl is None else float(pnl)
    return Close(_trade_id(body), str(reason), _positive(body, "exit_price"), told)


def event_of(body: Body) -> str:
    """Return the name of the event that POST /api/events reports. ApiError 422 if there is none."""
    return name_of(body, "event")


def fingerprint(body: Body) -> str:
    """Return what two equal bodies have in common, in whatever order their keys stand."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def _trade_id(body: Body) -> str:
    value = body.get("trade_id")
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise invalid("trade_id is wrong", _TRADE_ID, shown(value))
    return text


def name_of(body: Body, key: str) -> str:
    """Return a name. ApiError 422 says what is wrong with it."""
    value = body.get(key)
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise invalid(f"{key} is wrong", "1 to 64 printable ASCII characters without blanks", shown(value))
    return value


def symbol_name_of(body: Body, place: str = "") -> str:
    """Return a symbol's name as a broker writes it, perhaps with blanks inside. ApiError 422 says what is wrong."""
    value = body.get("symbol")
    if not isinstance(value, str) or not _SYMBOL.fullmatch(value):
        expected = "1 to 64 printable ASCII characters, without a blank at either end"
        raise invalid(f"{place or 'symbol'} is wrong", expected, shown(value))
    return value


def _positive(body: Body, key: str) -> float:
    value = body.get(key)
    if not is_number(value) or not value > 0:
        raise invalid(f"{key} is wrong", "a number above 0", shown(value))
    return float(value)


def _price(body: Body, key: str) -> float:
    """Return a price that may be missing: 0 then, as MetaTrader writes it."""
    value = body.get(key)
    if value is None:
        return 0.0
    if not is_number(value) or not value >= 0:
        raise invalid(f"{key} is wrong", "a number, or 0 for none", shown(value))
    return float(value)


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether this is a finite number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
