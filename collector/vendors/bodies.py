"""Read a reply's body as JSON, whatever it is, and take typed values out of it."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import TypeAlias

Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
JsonObject: TypeAlias = dict[str, Json]


def read_object(body: bytes) -> JsonObject | None:
    """Return the JSON object that the body is; None if it is anything else."""
    content = read_json(body)
    return content if isinstance(content, dict) else None


def read_json(body: bytes) -> Json:
    """Return the JSON value that the body is; None if it is none.

    What JSON knows no number for (NaN, Infinity, 1e999) comes out as the string that stood there.
    """
    try:
        content: Json = json.loads(body.decode("utf-8-sig"), parse_float=_finite, parse_constant=str)
    except (ValueError, RecursionError):  # broken UTF-8, broken JSON, an integer too long, a thousand brackets
        return None
    return content


def _finite(lexeme: str) -> float | str:
    value = float(lexeme)
    return value if math.isfinite(value) else lexeme


def object_at(content: Mapping[str, Json], key: str) -> JsonObject:
    """Return the object under the key; an empty one if there is none."""
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def list_at(content: Mapping[str, Json], key: str) -> list[Json]:
    """Return the list under the key; an empty one if there is none."""
    value = content.get(key)
    return value if isinstance(value, list) else []


def objects_at(content: Mapping[str, Json], key: str) -> Iterator[JsonObject]:
    """Yield the objects in the list under the key, in its order; what is no object is left out."""
    return (item for item in list_at(content, key) if isinstance(item, dict))


def text_at(content: Mapping[str, Json], key: str) -> str:
    """Return the string under the key; an empty one if there is none."""
    value = content.get(key)
    return value if isinstance(value, str) else ""


def looks_like_markup(body: bytes) -> bool:
    """Tell whether the body is HTML or XML, by its first character."""
    return body.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"
