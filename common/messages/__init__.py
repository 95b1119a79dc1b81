"""Every message that travels in a stream. Nothing else defines one.

An entry of a stream has one field, `m`, that holds one message as JSON. The `kind` key tells which.
Times are UTC epoch milliseconds; `market_ms` is the vendor's time, `received_ms` is the collector's clock (the
stream's time: simulated where the source is), `wall_ms` is real time and takes part in no decision that changes data.
Prices are float64, in the units of the symbol's quote currency.
"""

from common.messages.base import TIMEFRAME_MS, Message, Number, Timeframe, VolumeKind
from common.messages.codec import AnyMessage, decode, encode
from common.messages.quotes import (
    AHEAD_MS,
    SUSPECT_BELOW,
    VENDORS_ASKED,
    Bar,
    HistoryBars,
    Quote,
    Quotes,
    Reject,
    Rejects,
)
from common.messages.raw import Clock, RawBar, RawBars, RawQuote, RawQuotes, SeriesChange
from common.messages.reports import ClientEvent, DeadLetter, Execution, SourceEvent
from common.messages.requests import BackfillRequest, HistoryRequest, TerminalTick, TerminalTicks
from common.messages.results import Bars, HistoryTaken, Signal

__all__ = [
    "AHEAD_MS",
    "SUSPECT_BELOW",
    "TIMEFRAME_MS",
    "VENDORS_ASKED",
    "AnyMessage",
    "BackfillRequest",
    "Bar",
    "Bars",
    "ClientEvent",
    "Clock",
    "DeadLetter",
    "Execution",
    "HistoryBars",
    "HistoryRequest",
    "HistoryTaken",
    "Message",
    "Number",
    "Quote",
    "Quotes",
    "RawBar",
    "RawBars",
    "RawQuote",
    "RawQuotes",
    "Reject",
    "Rejects",
    "SeriesChange",
    "Signal",
    "SourceEvent",
    "TerminalTick",
    "TerminalTicks",
    "Timeframe",
    "VolumeKind",
    "decode",
    "encode",
]
