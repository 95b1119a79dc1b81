"""Twelve Data's bars: strings, newest first unless asked otherwise, stamped in the zone that was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from simulator.instruments import Instrument
from simulator.market import View
from simulator.sessions import DAY_MS, NEW_YORK
from simulator.spelling import plain

WIDTHS_S = {"1min": 60, "5min": 300, "15min": 900, "30min": 1800, "45min": 2700, "1h": 3600}
_SUPPORTED = "1min, 5min, 15min, 30min, 45min, 1h, 2h, 4h, 8h, 1day, 1week, 1month"
_DEFAULT_SIZE = 30
_LARGEST_SIZE = 5000
_SYDNEY = ZoneInfo("Australia/Sydney")
"""What "Exchange", the default, means for currencies and metals."""


@dataclass(frozen=True)
class SeriesAsk:
    """What was asked for; the times are UTC, in ms: [from_ms, to_ms)."""

    interval: str
    size: int
    ascending: bool
    zone: ZoneInfo | None
    """None: that of the exchange."""
    from_ms: int | None
    to_ms: int

    @property
    def width_ms(self) -> int:
        """The length of a bar."""
        return WIDTHS_S[self.interval] * 1000


def _zone(name: str) -> ZoneInfo | None:
    if name in ("", "Exchange"):
        return None
    return ZoneInfo(name)


def _moment(text: str, zone: ZoneInfo | None) -> int:
    """Return the time in ms; without a time zone it is UTC."""
    at = datetime.fromisoformat(text)
    return int(at.replace(tzinfo=zone or UTC).timestamp() * 1000)


def series_ask(params: Mapping[str, str], now_ms: int) -> SeriesAsk | str:
    """Return what the parameters ask for, or the message of the error."""
    interval = params.get("interval", "")
    if interval not in WIDTHS_S:
        return f"Invalid **interval** provided: {interval}. Supported intervals: {_SUPPORTED}"
    dated = "start_date" in params or "end_date" in params
    try:
        size = int(params.get("outputsize", _LARGEST_SIZE if dated else _DEFAULT_SIZE))
        zone = _zone(params.get("timezone", ""))
        from_ms = _moment(params["start_date"], zone) if "start_date" in params else None
        to_ms = _moment(params["end_date"], zone) if "end_date" in params else now_ms + 1
    except ZoneInfoNotFoundError:
        return f"Invalid **timezone** provided: {params.get('timezone')}"
    except ValueError as e:
        return f"Invalid **outputsize**, **start_date** or **end_date** provided: {e}"
    if not 1 <= size <= _LARGEST_SIZE:
        return f"Invalid **outputsize** provided: {size}. Outputsize ranges from 1 to {_LARGEST_SIZE}"
    if params.get("order", "desc").lower() not in ("asc", "desc"):
        return f"Invalid **order** provided: {params.get('order')}. Supported orders: asc, desc"
    return SeriesAsk(interval, size, params.get("order", "").lower() == "asc", zone, from_ms, to_ms)


def _reach_ms(ask: SeriesAsk) -> int:
    """Return how far back so many bars lie at most, closed hours included."""
    return ask.size * ask.width_ms * 7 + 4 * DAY_MS


def series(view: View, instrument: Instrument, ask: SeriesAsk) -> list[dict[str, str]]:
    """Return the bars, the one that is still forming included."""
    to_ms = min(ask.to_ms, view.now_ms + 1)
    from_ms = to_ms - _reach_ms(ask) if ask.from_ms is None else ask.from_ms
    bars = view.bars(instrument, ask.width_ms, from_ms, to_ms)
    bars = bars.part(max(0, len(bars) - ask.size), len(bars))
    stock = instrument.session == "us_cash"
    zone = ask.zone or (NEW_YORK if stock else _SYDNEY)
    columns = (bars.open.tolist(), bars.high.tolist(), bars.low.tolist(), bars.close.tolist())
    rows: list[dict[str, str]] = []
    for opened, *prices in zip(bars.open_ms.tolist(), *columns, strict=True):
        stamp = datetime.fromtimestamp(opened // 1000, zone).strftime("%Y-%m-%d %H:%M:%S")
        named = dict(zip(("open", "high", "low", "close"), map(plain, prices), strict=True))
        rows.append({"datetime": stamp, **named, **({"volume": "0"} if stock else {})})
    return rows if ask.ascending else rows[::-1]
