"""Every message that travels in a stream. Nothing else defines one.

An entry of a stream has one field, `m`, that holds one message as JSON. The `kind` key tells which.
Times are UTC epoch milliseconds; `market_ms` is the vendor's time, `received_ms` is the collector's clock (the
stream's time: simulated where the source is), `wall_ms` is real time and takes part in no decision that changes data.
Prices are float64, in the units of the symbol's quote currency.
"""

from typing import Literal

import msgspec
from msgspec import Struct

VolumeKind = Literal["traded", "ticks", "none"]
Timeframe = Literal["1s", "1m", "5m", "15m", "1h"]
Number = float | str | None
"""As the vendor sent it: a string is what was not a finite number there, None is absent."""

TIMEFRAME_MS: dict[str, int] = {"1s": 1_000, "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000}


class Message(Struct, frozen=True, omit_defaults=True, tag_field="kind"):
    """The base of all that may stand alone in an entry."""


# -- raw: collector -> validator ------------------------------------------------------------------


class RawQuote(Struct, frozen=True, omit_defaults=True):
    """One quote, untouched: what a vendor said about one symbol."""

    symbol: str
    source_class: str
    market_ms: int | None = None
    """None: the vendor gives no time that can be trusted as the market's."""
    last: Number = None
    bid: Number = None
    ask: Number = None
    day_volume: Number = None
    """Cumulative volume of the session, where the vendor gives one."""
    tick: int | None = None
    """The simulator's number of this tick; None from live vendors."""


class RawQuotes(Message, frozen=True, tag="raw_quotes"):
    """All that one reply or frame brought for one partition, in the vendor's order."""

    source: str
    received_ms: int
    quotes: tuple[RawQuote, ...]


class RawBar(Struct, frozen=True, omit_defaults=True):
    """One closed bar of a vendor's history."""

    open_ms: int
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number = None


class RawBars(Message, frozen=True, tag="raw_bars"):
    """A vendor's history for one symbol and timeframe, oldest first: the answer to a BackfillRequest.

    Empty `bars` with `final` say that no vendor of the class could supply any; `detail` says why.
    """

    request_id: str
    source: str
    source_class: str
    symbol: str
    timeframe: Timeframe
    received_ms: int
    volume_kind: VolumeKind
    bars: tuple[RawBar, ...]
    final: bool = True
    detail: str = ""


class Clock(Message, frozen=True, tag="clock"):
    """The stream's time: all that the cycle collected stands before this entry."""

    cycle: int
    now_ms: int
    wall_ms: int
    """Real time of publishing, for the api's judgement of liveness."""
    speed: float = 1.0
    """Stream seconds per real second: 1 live."""
    raw_id: str = ""
    """Entry id in `raw`; filled in by the validator."""


# -- quotes, rejects: validator -> features, storer -----------------------------------------------


class Quote(Struct, frozen=True, omit_defaults=True):
    """One quote that can be trusted, with what was judged and why."""

    symbol: str
    source: str
    source_class: str
    market_ms: int
    """The market's time; equals received_ms where market_time is False."""
    received_ms: int
    price: float
    """`last` where the vendor gave one, else the middle of bid and ask."""
    raw_id: str
    """Origin: the entry id in `raw`, and ..."""
    raw_index: int
    """... the place inside that entry."""
    last: float | None = None
    bid: float | None = None
    ask: float | None = None
    day_volume: float | None = None
    volume: float = 0.0
    """Traded since the previous quote of the same source."""
    volume_kind: VolumeKind = "none"
    score: float = 1.0
    """Quality in [0, 1]."""
    reasons: tuple[str, ...] = ()
    """Why the score is below 1, as slugs; "late" marks a quote that comes after its 1 s bar closed."""
    market_time: bool = True
    tick: int | None = None


class Quotes(Message, frozen=True, tag="quotes"):
    """The accepted quotes of one raw entry, in its order."""

    quotes: tuple[Quote, ...]


class Bar(Struct, frozen=True, omit_defaults=True):
    """One bar: built from quotes (`origin` "built") or taken from a vendor's history ("vendor")."""

    symbol: str
    timeframe: Timeframe
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    volume_kind: VolumeKind
    ticks: int
    """Number of quotes in it; 0 for a vendor's bar."""
    source: str
    """Of the last quote in it."""
    source_class: str
    origin: Literal["built", "vendor"] = "built"
    complete: bool = True
    """False where collecting began inside this bar."""
    final: bool = True

    @property
    def id(self) -> str:
        """The identity of the bar, equal however often and wherever it is made."""
        return f"{self.symbol}|{self.source_class}|{self.timeframe}|{self.open_ms}"


class HistoryBars(Message, frozen=True, tag="history_bars"):
    """A vendor's history after validation, oldest first; or the storer's answer to a HistoryRequest."""

    request_id: str
    symbol: str
    timeframe: Timeframe
    source_class: str
    bars: tuple[Bar, ...]
    final: bool = True
    """The last message of this answer."""
    detail: str = ""
    raw_id: str = ""
    """Origin of a vendor's history: the entry id in `raw`, from the validator. Empty in the storer's answers."""
    source: str = ""
    """The vendor, as in the raw entry: also known where there are no bars."""
    received_ms: int = 0
    """As in the raw entry; 0 in the storer's answers."""


class Reject(Struct, frozen=True, omit_defaults=True):
    """A quote or vendor bar in quarantine: never in a bar, never deleted."""

    symbol: str
    source: str
    source_class: str
    received_ms: int
    reason: str
    detail: str
    score: float
    raw_id: str
    raw_index: int
    raw: RawQuote | None = None
    raw_bar: RawBar | None = None
    timeframe: Timeframe | None = None


class Rejects(Message, frozen=True, tag="rejects"):
    """The rejects of one raw entry, in its order."""

    rejects: tuple[Reject, ...]


# -- bars, signals: features -> storer ------------------------------------------------------------


class Bars(Message, frozen=True, tag="bars"):
    """Final bars, in the order in which they closed."""

    bars: tuple[Bar, ...]


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
    values: dict[str, float] = {}


# -- requests for history -------------------------------------------------------------------------


class HistoryRequest(Message, frozen=True, tag="history_request"):
    """features asks the storer for the newest `count` bars that open before `before_ms`."""

    id: str
    symbol: str
    timeframe: Timeframe
    source_class: str
    count: int
    before_ms: int


class BackfillRequest(Message, frozen=True, tag="backfill"):
    """The storer asks the collector for a vendor's history over [from_ms, to_ms)."""

    id: str
    symbol: str
    timeframe: Timeframe
    source_class: str
    from_ms: int
    to_ms: int


# -- events ---------------------------------------------------------------------------------------


class SourceEvent(Message, frozen=True, tag="source_event"):
    """A change in a source's state: breaker transitions, limits, bad keys, usage."""

    source: str
    event: str
    """Dotted slug, such as "breaker.opened"."""
    at_ms: int
    id: str
    """Derived from source, event and a counter: unique."""
    detail: str = ""
    fields: dict[str, str | int | float] = {}


class Execution(Message, frozen=True, tag="execution"):
    """A fill, or a close, as a client reported it: `body` is its JSON object as received."""

    id: str
    """"open:<trade_id>" or "close:<trade_id>"."""
    trade_id: str
    symbol: str
    received_ms: int
    body: dict[str, object]


class ClientEvent(Message, frozen=True, tag="client_event"):
    """Another report of a client (start, stop, heartbeat)."""

    id: str
    event: str
    received_ms: int
    body: dict[str, object]


class DeadLetter(Message, frozen=True, tag="dead_letter"):
    """An entry that could not be handled, kept whole."""

    stage: str
    stream: str
    entry_id: str
    reason: str
    detail: str
    failures: int
    body: str


AnyMessage = (
    RawQuotes
    | RawBars
    | Clock
    | Quotes
    | HistoryBars
    | Rejects
    | Bars
    | Signal
    | HistoryRequest
    | BackfillRequest
    | SourceEvent
    | Execution
    | ClientEvent
    | DeadLetter
)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyMessage] = msgspec.json.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """Return the message as one line of JSON."""
    return _encoder.encode(message)


def decode(body: bytes) -> AnyMessage:
    """Return the message in `body`. msgspec.DecodeError or ValidationError says what is wrong and where."""
    return _decoder.decode(body)
