"""What the engine says of one lane (a symbol's bars of one timeframe): the JSON behind keys.feature_values."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from common.messages import VolumeKind


class FormingSet(Struct, frozen=True):
    """The bar that is being built, and the values as if it closed now. Not promised to be the same in a replay."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    ticks: int
    values: dict[str, float | None]
    """None where there is no value."""


class FeatureSet(Struct, frozen=True):
    """The indicators of one lane after its last closed bar."""

    symbol: str
    timeframe: str
    source: str
    """Of the last closed bar; empty before the first."""
    source_class: str
    delay_ms: int
    """How late this class is by contract; more than 0 feeds no signal."""
    bar_open_ms: int | None
    """Of the last closed bar; None before the first."""
    market_ms: int | None
    """The market's time of the newest quote in the lane; None before the first."""
    clock_ms: int
    """Stream time when this was written; the age of the pass stands in keys.feature_pass."""
    volume_kind: VolumeKind
    bars_seen: int
    """Closed bars that the values rest on: how far they have converged."""
    ready: bool
    """All values are there and have converged, but for those that this series can't have (no volume, no session)."""
    values: dict[str, float | None]
    """By the plan's names; None where there is none. What stands in `not_ready` too is not to be relied on."""
    not_ready: dict[str, str]
    """Name -> why, and from when on if that is known."""
    forming: FormingSet | None = None
    warming: str = ""
    """Why the symbol gives no signals since another class feeds its series; empty if it may give some."""


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[FeatureSet] = msgspec.json.Decoder(FeatureSet)


def encode_values(names: Sequence[str], values: Sequence[float]) -> msgspec.Raw:
    """Return values by name as JSON; null for what is not a finite number."""
    return msgspec.Raw(_encoder.encode(dict(zip(names, values, strict=True))))


def encode_features(features: FeatureSet) -> bytes:
    """Return the JSON of a feature set."""
    return _encoder.encode(features)


def decode_features(body: bytes) -> FeatureSet:
    """Return the feature set in `body`. msgspec.DecodeError or ValidationError says what is wrong and where."""
    return _decoder.decode(body)
