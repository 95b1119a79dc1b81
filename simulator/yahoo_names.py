"""What Yahoo says about each symbol that does not change with the price."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from simulator.instruments import Instrument

_MONTH_CODES = "FGHJKMNQUVXZ"


@dataclass(frozen=True)
class Contract:
    """A future's months, and how its contracts are called."""

    root: str
    suffix: str
    title: str
    months: tuple[int, ...]
    rolls_on_third_friday: bool


@dataclass(frozen=True)
class About:
    """One symbol's fixed facts."""

    kind: str
    """CURRENCY, FUTURE or INDEX."""
    title: str
    exchange: str
    exchange_title: str
    market: str
    zone: str
    price_hint: int
    first_trade_s: int
    board: str = ""
    contract: Contract | None = None


_INDEX_MONTHS = (3, 6, 9, 12)
_GOLD = Contract("GC", "CMX", "Gold", (2, 4, 6, 8, 10, 12), rolls_on_third_friday=False)
_NQ = Contract("NQ", "CME", "Nasdaq 100", _INDEX_MONTHS, rolls_on_third_friday=True)
_ES = Contract("ES", "CME", "E-Mini S&P 500", _INDEX_MONTHS, rolls_on_third_friday=True)
_YM = Contract("YM", "CBT", "Mini Dow Jones Indus.-$5", _INDEX_MONTHS, rolls_on_third_friday=True)
_NY = "America/New_York"

_KNOWN: dict[str, About] = {
    "GC=F": About("FUTURE", "Gold", "CMX", "COMEX", "us24_market", _NY, 2, 967608000, contract=_GOLD),
    "NQ=F": About("FUTURE", "Nasdaq 100", "CME", "CME", "us24_market", _NY, 2, 969249600, contract=_NQ),
    "ES=F": About("FUTURE", "E-Mini S&P 500", "CME", "CME", "us24_market", _NY, 2, 969249600, contract=_ES),
    "YM=F": About("FUTURE", "Mini Dow Jones", "CBT", "CBOT", "us24_market", _NY, 2, 1018324800, contract=_YM),
    "^NDX": About("INDEX", "NASDAQ 100", "NIM", "Nasdaq GIDS", "us_market", _NY, 2, 497111400, "finmb_INDEXNDX"),
    "^DJI": About(
        "INDEX", "Dow Jones Industrial Average", "DJI", "DJI", "us_market", _NY, 2, 694362600, "finmb_INDEXDJI"
    ),
    "^GSPC": About("INDEX", "S&P 500", "SNP", "SNP", "us_market", _NY, 2, -1325583000, "finmb_INDEXGSPC"),
}


@lru_cache(maxsize=256)
def about(instrument: Instrument) -> About:
    """Return the fixed facts of an instrument; one that is not known is told by the kind of its session."""
    symbol = instrument.vendor_symbol
    if symbol in _KNOWN:
        return _KNOWN[symbol]
    if instrument.session in ("fx", "metals"):
        base = symbol.removesuffix("=X")
        title = f"{base[:3]}/{base[3:]}"
        return About(
            "CURRENCY", title, "CCY", "CCY", "ccy_market", "Europe/London", 4, 1070236800, f"finmb_{base[:3]}_X"
        )
    if instrument.session == "cme":
        contract = Contract(
            symbol.removesuffix("=F"), "CME", instrument.symbol, _INDEX_MONTHS, rolls_on_third_friday=True
        )
        return About("FUTURE", instrument.symbol, "CME", "CME", "us24_market", _NY, 2, 969249600, contract=contract)
    return About("INDEX", instrument.symbol, "WCB", "Chicago Options", "us_market", _NY, 2, 497111400, "finmb_INDEX")


def _third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def _third_last_business_day(year: int, month: int) -> date:
    day = date(year + month // 12, month % 12 + 1, 1)
    left = 3
    while left:
        day -= timedelta(days=1)
        left -= day.weekday() < 5
    return day


def front_month(contract: Contract, today: date) -> tuple[str, date]:
    """Return the code of the contract that is traded most ("J25") and its expiry."""
    for ahead in range(13):
        year, month = divmod(today.year * 12 + today.month - 1 + ahead, 12)
        month += 1
        if month not in contract.months:
            continue
        if contract.rolls_on_third_friday:
            expiry, rolls = _third_friday(year, month), _third_friday(year, month) - timedelta(days=8)
        else:
            expiry, rolls = _third_last_business_day(year, month), date(year, month, 1)
        if today < rolls:
            return f"{_MONTH_CODES[month - 1]}{year % 100:02d}", expiry
    raise ValueError(f"no contract month within a year of {today}: {contract.months}")


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def local(zone: str, at_ms: int) -> datetime:
    """Return the exchange's local time."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(_zone(zone))


@lru_cache(maxsize=1024)
def _offset(zone: str, hour: int) -> tuple[int, str]:
    at = local(zone, hour * 3_600_000)
    shift = at.utcoffset()
    return 0 if shift is None else int(shift.total_seconds()), at.tzname() or ""


def offset_s(zone: str, at_ms: int) -> tuple[int, str]:
    """Return the zone's offset from UTC in seconds, and its short name."""
    return _offset(zone, at_ms // 3_600_000)


def midnight_ms(zone: str, at_ms: int) -> int:
    """Return the local midnight at or before `at_ms`."""
    at = local(zone, at_ms)
    return int(at.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1000
