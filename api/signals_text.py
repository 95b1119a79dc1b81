"""The reply to GET /api/signals, written for a client that has no JSON parser and searches for substrings.

The rules are in docs/api.md: compact, ASCII, fixed order, plain decimals, no null, no escapes, and the word "symbol"
in quotes once per signal and nowhere else after the opening of the list.
"""

import math
from collections.abc import Iterable, Sequence

from api.plain_text import number, plain
from api.signal_advice import Advice, Withheld
from api.times import iso
from common.messages import Signal


def write_signals(
    advice: Sequence[Advice], withheld: Iterable[Withheld], wall_ms: int, equity: float, currency: str, simulated: bool
) -> bytes:
    """Return the whole body. currency: the account's."""
    listed = ",".join(_signal(item, simulated) for item in advice)
    silent = ",".join([item.written or _withheld(item) for item in withheld])
    return (
        f'{{"signals":[{listed}],"timestamp":"{iso(wall_ms)}","count":{len(advice)},"equity":{number(equity)},'
        f'"currency":"{currency}","simulated":{_bool(simulated)},"withheld":[{silent}]}}'
    ).encode("ascii")


def _signal(advice: Advice, simulated: bool) -> str:
    signal, digits = advice.signal, advice.symbol.digits
    return (
        f'{{"symbol":"{plain(advice.symbol.broker)}","action":"{signal.action}","confidence":{_share(signal.confidence)},'
        f'"q_star":{signal.quality:.2f},"es95":{advice.size.es95:.2f},"stop_loss":{signal.stop_loss:.{digits}f},'
        f'"take_profit_1":{signal.take_profit_1:.{digits}f},"take_profit_2":{signal.take_profit_2:.{digits}f},'
        f'"lots":{advice.size.lots:f},"alpha_id":"{plain(signal.strategy)}","regime":"{plain(signal.regime)}",'
        f'"id":"{plain(signal.id)}","instrument":"{plain(signal.symbol)}","timeframe":"{signal.timeframe}",'
        f'"entry":{signal.entry:.{digits}f},"expires_in_ms":{advice.expires_in_ms},"data_age_ms":{advice.data_age_ms},'
        f'"simulated":{_bool(simulated)},{_lasting(signal)}'
    )


_written: dict[str, tuple[Signal, str]] = {}
"""By symbol: its last signal, and the part of its text that is the same at every poll."""


def _lasting(signal: Signal) -> str:
    known = _written.get(signal.symbol)
    if known is None or known[0] is not signal:
        known = _written[signal.symbol] = (signal, _end(signal))
    return known[1]


def _end(signal: Signal) -> str:
    """Return the end of a signal's text; its features are the last of all."""
    reasons = ",".join(f'"{plain(reason)}"' for reason in signal.reasons)
    finite = ((name, value) for name, value in signal.values.items() if math.isfinite(value))
    features = ",".join(f'"{plain(name)}":{number(value)}' for name, value in finite)
    return (
        f'"atr":{number(signal.atr)},"bar_time":"{iso(signal.bar_open_ms)}","published":"{iso(signal.published_ms)}",'
        f'"expires":"{iso(signal.expires_ms)}","source":"{plain(signal.source)}",'
        f'"source_class":"{plain(signal.source_class)}","reasons":[{reasons}],"features":{{{features}}}}}'
    )


_told: dict[str, tuple[Withheld, str]] = {}
"""By symbol: what was withheld last, and its text. Most symbols have the same to tell at most polls."""


def _withheld(item: Withheld) -> str:
    name = item.symbol.name
    known = _told.get(name)
    if (
        known is None
        or known[0].detail != item.detail
        or known[0].reason != item.reason
        or known[0].symbol is not item.symbol
    ):
        known = _told[name] = (item, why_not(item))
    return known[1]


def why_not(item: Withheld) -> str:
    """Return the text of one symbol without advice."""
    return (
        f'{{"instrument":"{plain(item.symbol.name)}","broker":"{plain(item.symbol.broker)}",'
        f'"reason":"{plain(item.reason)}","detail":"{plain(item.detail)}"}}'
    )


def _share(value: float) -> str:
    # Down, never up: a client refuses what is below 0.5, and 0.4999 must not look like it.
    return f"{math.floor(min(1.0, max(0.0, value)) * 10_000) / 10_000:.4f}"


def _bool(value: bool) -> str:
    return "true" if value else "false"
