"""Messages for the storer's tests, and entries to carry them."""

from common import keys
from common.keys import Stream
from common.messages import (
    Bar,
    Bars,
    ClientEvent,
    Clock,
    Execution,
    HistoryBars,
    HistoryRequest,
    HistoryTaken,
    Quote,
    Quotes,
    RawQuote,
    Reject,
    Rejects,
    SeriesChange,
    Signal,
    SourceEvent,
)
from common.messages import Message as AnyOf
from common.stage import Entry

T0 = 1_700_000_040_000  # 2023-11-14 22:14:00 UTC, a whole minute
MINUTE = 60_000


def entry(stream: Stream, number: int, message: AnyOf) -> Entry:
    """Return an entry whose id sorts by its number."""
    return Entry(stream, f"{T0 + number}-0", message)  # type: ignore[arg-type]  # the union of the same classes


def quote(number: int = 0, index: int = 0, symbol: str = "XAUUSD", **changes: object) -> Quote:
    """Return an accepted quote with every field set."""
    given: dict[str, object] = {
        "symbol": symbol, "source": "twelvedata", "source_class": "gold_spot", "market_ms": T0 + number - 250,
        "received_ms": T0 + number, "price": 1930.1 + number / 10, "raw_id": f"{T0 + number}-0", "raw_index": index,
        "last": 1930.1 + number / 10, "bid": 1930.0, "ask": 1930.3, "day_volume": 12345.0, "volume": 3.0,
        "volume_kind": "ticks", "score": 0.9, "reasons": ("wide",), "tick": number,
    }  # fmt: skip
    return Quote(**{**given, **changes})  # type: ignore[arg-type]  # test sugar


def bar(minute: int = 0, **changes: object) -> Bar:
    """Return a final 1m bar of gold."""
    given: dict[str, object] = {
        "symbol": "XAUUSD", "timeframe": "1m", "open_ms": T0 + minute * MINUTE, "open": 1930.0, "high": 1931.5,
        "low": 1929.25, "close": 1930.75, "volume": 42.0, "volume_kind": "ticks", "ticks": 40, "source": "twelvedata",
        "source_class": "gold_spot",
    }  # fmt: skip
    return Bar(**{**given, **changes})  # type: ignore[arg-type]  # test sugar


def clock(number: int, raw_id: str = "") -> Clock:
    """Return the clock entry of a cycle, one second after the one before."""
    now_ms = T0 + number * 1000
    return Clock(cycle=number, now_ms=now_ms, wall_ms=now_ms + 5, speed=2.0, raw_id=raw_id or f"{now_ms}-7")


SIGNAL = Signal(
    id="XAUUSD|1m|breakout|1700000040000", symbol="XAUUSD", timeframe="1m", strategy="breakout", bar_open_ms=T0,
    action="BUY", entry=1930.75, stop_loss=1928.0, take_profit_1=1934.0, take_profit_2=1938.0, confidence=0.71,
    quality=7.5, regime="trend", reasons=("above_band", "volume"), published_ms=T0 + 62_000, expires_ms=T0 + 65_000,
    data_age_ms=900, atr=1.25, source="twelvedata", source_class="gold_spot", values={"rsi_14": 61.2},
)  # fmt: skip
REJECT = Reject(
    symbol="EURUSD", source="yahoo", source_class="fx_spot", received_ms=T0 + 3, reason="spike", detail="1.9, not 1.09",
    score=0.1, raw_id=f"{T0 + 3}-0", raw_index=1, raw=RawQuote(symbol="EURUSD", source_class="fx_spot", last="1,9"),
)  # fmt: skip
SOURCE_EVENT = SourceEvent("yahoo", "breaker.opened", T0, "yahoo|breaker.opened|1", "5 failures", {"failures": 5})
EXECUTION = Execution(
    "open:123456", "123456", "US100.e", T0 + 9, {"trade_id": "123456", "lots": 0.1, "nested": [1, None]}
)
SERIES_CHANGE = SeriesChange("EURUSD", "terminal_fx", "fx_spot", T0 + 1_000, "terminal_came", f"{T0 + 6}-0")
CLIENT_EVENT = ClientEvent("start|1", "ea_start", T0 + 8, {"equity": 1000.0})
HISTORY = HistoryBars(
    request_id="older|1", symbol="XAUUSD", timeframe="1m", source_class="gold_spot",
    bars=(bar(-3, origin="vendor", ticks=0), bar(-2, origin="vendor", ticks=0)), raw_id=f"{T0 + 5}-0",
    source="twelvedata", received_ms=T0 + 5,
)  # fmt: skip

HISTORY_TAKEN = HistoryTaken(
    f"{T0 + 7}-3", f"{T0 + 6}-0", HistoryBars("q1", "XAUUSD", "1m", "gold_spot", (bar(-4, origin="vendor", ticks=0),))
)


def one_of_each() -> tuple[Entry, ...]:
    """Return a batch with every kind that the storer reads, in the order of its inputs."""
    return (
        entry(keys.QUOTES, 1, Quotes(quotes=(quote(1), quote(1, 1, "EURUSD", source_class="fx_spot", last=None)))),
        entry(keys.QUOTES, 2, clock(1)),
        entry(keys.QUOTES, 3, HISTORY),
        entry(keys.QUOTES, 4, SERIES_CHANGE),
        entry(keys.BARS, 1, Bars(bars=(bar(0), bar(1)))),
        entry(keys.BARS, 2, HISTORY_TAKEN),
        entry(keys.SIGNALS, 1, SIGNAL),
        entry(keys.REJECTS, 1, Rejects(rejects=(REJECT,))),
        entry(keys.SOURCE_EVENTS, 1, SOURCE_EVENT),
        entry(keys.EXECUTIONS, 1, EXECUTION),
        entry(keys.EVENTS, 1, CLIENT_EVENT),
    )


def request(count: int, before_ms: int = T0 + 10 * MINUTE, **changes: object) -> HistoryRequest:
    """Return a question for the newest 1m bars of gold."""
    given: dict[str, object] = {
        "id": "q1", "symbol": "XAUUSD", "timeframe": "1m", "source_class": "gold_spot", "count": count,
        "before_ms": before_ms,
    }  # fmt: skip
    return HistoryRequest(**{**given, **changes})  # type: ignore[arg-type]  # test sugar
