"""What a vendor's endpoint gets and gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from simulator.market import View

JSON_TYPE = "application/json"

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Call:
    """One GET of one vendor."""

    path: str
    """Without the vendor's prefix, percent-decoded."""
    params: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    view: View
    base: str = ""
    """URL of this vendor's root, for links to further pages."""


@dataclass(frozen=True)
class Answer:
    """One complete reply."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: Sequence[tuple[str, str]] = ()
    ticks: Mapping[str, int] = field(default_factory=dict)
    """Vendor symbol -> number of the tick that this reply tells as the latest."""
    told: bool = True
    """These ticks count as told. False for history, whose last element is a by-product."""
    verdict: str = "ok"
    """What kind of answer it is, for the ledger."""
    credits: int = 1


class Vendor(Protocol):
    """One vendor."""

    name: str

    def answer(self, call: Call) -> Answer:
        """Return the reply to one GET."""
        ...

    def rate_limited(self, call: Call) -> Answer:
        """Return what the vendor says to a caller that is too fast."""
        ...

    def server_error(self, call: Call) -> Answer:
        """Return what the vendor says when it is out of order."""
        ...


OUT_OF_ORDER = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
HTML_TYPE = "text/html; charset=utf-8"


def encode(value: object) -> bytes:
    """Return compact JSON; floats keep their ".0"."""
    return _encoder.encode(value)


def raw_object(fields: Mapping[str, str]) -> str:
    """Return a JSON object whose values are spelled already."""
    return "{" + ",".join([f'"{key}":{value}' for key, value in fields.items()]) + "}"


def text(value: str) -> str:
    """Return the JSON spelling of a string."""
    return _encoder.encode(value).decode()


def names(listed: str) -> list[str]:
    """Return the items of a comma-separated parameter, in order, each once."""
    return list(dict.fromkeys(item.strip() for item in listed.split(",") if item.strip()))
