"""A client as the expert advisor is one: no JSON parser, only a search for substrings."""

from dataclasses import dataclass

LIST = '"signals":['
NUMBERS = ("confidence", "q_star", "es95", "stop_loss", "take_profit_1", "take_profit_2", "lots")


@dataclass(frozen=True)
class Order:
    """What the client understood of one signal."""

    symbol: str
    action: str
    confidence: float
    q_star: float
    es95: float
    stop_loss: float
    take_profit_1: float
    take_profit_2: float
    lots: float
    alpha_id: str
    regime: str


def read(body: bytes) -> list[Order]:
    """Return what the client understands; ValueError where it would read nonsense."""
    text = body.decode("cp1252")
    start = text.find(LIST)
    if start < 0:
        raise ValueError("no list of signals")
    orders, at = [], start + len(LIST)
    while (at := text.find('"symbol"', at)) >= 0:
        orders.append(_order(text, at))
        at += 1
    return orders


def _order(text: str, at: int) -> Order:
    # Each key is searched from the signal's beginning: a missing one is read from whatever follows.
    numbers = {name: _number(text, at, name) for name in NUMBERS}
    return Order(
        symbol=_string(text, at, "symbol"),
        action=_string(text, at, "action"),
        alpha_id=_string(text, at, "alpha_id"),
        regime=_string(text, at, "regime"),
        **numbers,
    )


def _value_at(text: str, at: int, key: str) -> int:
    found = text.find(f'"{key}":', at)
    if found < 0:
        raise ValueError(f"no {key}")
    return found + len(key) + 3


def _string(text: str, at: int, key: str) -> str:
    begin = _value_at(text, at, key)
    if text[begin] != '"':
        raise ValueError(f"{key} is not a string: {text[begin : begin + 10]}")
    value = text[begin + 1 : text.find('"', begin + 1)]
    if "\\" in value:
        raise ValueError(f"{key} holds an escape: {value}")
    return value


def _number(text: str, at: int, key: str) -> float:
    begin = _value_at(text, at, key)
    end = min(found for mark in ",}] " if (found := text.find(mark, begin)) >= 0)
    token = text[begin:end]
    if not token or token.strip("-0123456789.") or token.count(".") > 1:
        raise ValueError(f"{key} is not a plain decimal: {token}")
    return float(token)
