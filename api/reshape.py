"""Give fields of a JSON reply other names: what is not named passes through as it is, unread."""

from collections.abc import Callable, Mapping
from functools import partial

import msgspec
from msgspec import Raw

Change = Callable[[bytes], bytes]
"""From a value's JSON to the JSON that stands in its place."""
Shape = Mapping[str, str | tuple[str, Change]]
"""A field's name -> its new name, or that and what becomes of its value."""

_items = msgspec.json.Decoder(list[Raw])
_fields = msgspec.json.Decoder(dict[str, Raw])


def within(shape: Shape) -> Change:
    """Return the change of an object, or of each object in a list."""
    return partial(reshaped, shape=shape)


def reshaped(body: bytes, shape: Shape) -> bytes:
    """Return an object, or a list of objects, with its fields named as `shape` says; anything else as it is."""
    if body[:1] == b"[":
        return b"[" + b",".join(reshaped(bytes(item), shape) for item in _items.decode(body)) + b"]"
    if body[:1] != b"{":
        return body
    return msgspec.json.encode(dict(_changed(shape, name, value) for name, value in _fields.decode(body).items()))


def _changed(shape: Shape, name: str, value: Raw) -> tuple[str, Raw]:
    field = shape.get(name, name)
    if isinstance(field, str):
        return field, value
    new_name, change = field
    return new_name, Raw(change(bytes(value)))
