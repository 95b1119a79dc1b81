"""bars and signals: features -> storer."""

from typing import Literal

from msgspec import field

from common.messages.base import Message, Timeframe
from common.messages.quotes import Bar, HistoryBars


class Bars(Message, frozen=True, tag="bars"):
    """Final bars, in the order in which they closed."""

    bars: tuple[Bar, ...]


class HistoryTaken(Message, frozen=True, tag="history_taken"):
    """The storer's bars that changed a lane of the engine, and when: no other record says in which moment that was."""

    id: str
    """Entry id in `history`."""
    raw_id: str
    """Of the last entry of `raw` whose consequences the engine had taken in before."""
    history: HistoryBars
    """With the bars alone that changed something."""


class Signal(Message, frozen=True, tag="signal"):
    """Advice that rests on a closed bar. Its size is computed when it is asked for."""

    id: str
    """symbol, timeframe, strategy and bar time: never random."""
    symbol: str
    timeframe: Timeframe
    strategy: str
    bar_open_ms: int
    action: Literal["BUY", "SELL"]
    entry: float
    stop_loss: float
    take_profit_1: float
    take_profit_2: float
    confidence: float
    """In [0, 1]."""
    quality: float
    """In [0, 10]; the bot's q_star."""
    regime: str
    reasons: tuple[str, ...]
    published_ms: int
    """Stream time."""
    expires_ms: int
    """Stream time."""
    data_age_ms: int
    """Stream time less the market time of the quote beneath, when published."""
    atr: float
    source: str
    source_class: str
    values: dict[str, float] = field(default_factory=dict)
    data_score: float | None = None
    """Mean quality of the quotes in its bar, in [0, 1]; None: published before this was told."""
    spread: float | None = None
    """Of the newest quote in its bar with bid and ask; None: its sources give none."""
