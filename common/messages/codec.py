"""Messages to and from the one line of JSON that an entry holds."""

import msgspec

from common.messages.base import Message
from common.messages.quotes import HistoryBars, Quotes, Rejects
from common.messages.raw import Clock, RawBars, RawQuotes, SeriesChange
from common.messages.reports import ClientEvent, DeadLetter, Execution, SourceEvent
from common.messages.requests import BackfillRequest, HistoryRequest, TerminalTicks
from common.messages.results import Bars, HistoryTaken, Signal

AnyMessage = (
    RawQuotes
    | RawBars
    | SeriesChange
    | Clock
    | Quotes
    | HistoryBars
    | Rejects
    | Bars
    | HistoryTaken
    | Signal
    | HistoryRequest
    | BackfillRequest
    | TerminalTicks
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
