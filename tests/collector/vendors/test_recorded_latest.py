"""Every recorded reply that has to do with latest prices. What is expected was read off the recordings by hand."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.vendors import VENDORS
from collector.vendors.base import Ask, Reading, Verdict
from common.messages import RawQuote
from tests.collector.vendors.support import CREDENTIALS, ask, latest, reply

FEBRUARY_2025_MS = 1_739_789_692_000  # Mon, 17 Feb 2025 10:54:52 GMT, the Date header of the recordings
OCTOBER_2025_MS = 1_761_782_400_000
MINUTE_30_S_MS = 1_764_769_530_000  # 2025-12-03 13:45:30 UTC: half a minute before the next
BEFORE_MIDNIGHT_MS = 1_764_806_340_000  # 2025-12-03 23:59:00 UTC

AAPL, USDJPY, EURUSD = ask("AAPL", volume_kind="traded"), ask("USD/JPY"), ask("EUR/USD")
UNKNOWN, NO_DATA, NOT_ENTITLED = Verdict.UNKNOWN_SYMBOL, Verdict.NO_DATA, Verdict.NOT_ENTITLED


@dataclass(frozen=True)
class Case:
    """One recording: what was asked, when the answer came, and what has to be made of it."""

    file: str
    asks: tuple[Ask, ...]
    verdict: Verdict
    quotes: tuple[RawQuote, ...] = ()
    refused: tuple[Verdict, ...] = ()
    """Of the asks that have no quote, in order."""
    at_ms: int = MINUTE_30_S_MS
    wait_s: float | None = None
    credits_left: int | None = None


def quote(
    what: Ask, market_ms: int | None, last: float | None, bid: float | None = None, asked: float | None = None,
    day_volume: float | None = None,
) -> RawQuote:  # fmt: skip
    """Return the quote of one ask."""
    return RawQuote(what.symbol, what.source_class, market_ms, last, bid, asked, day_volume)


EURUSD_X, GC_F, VXAPL = ask("EURUSD=X"), ask("GC=F", volume_kind="traded"), ask("^VXAPL")
BABA, MSFT = ask("BABA", volume_kind="traded"), ask("MSFT", volume_kind="traded")
YAHOO = (
    # bid 1.0489877 > ask 1.0484378: swapped, so no spread is taken from it
    Case("quote_EURUSD_20250217.json", (EURUSD_X,), Verdict.OK, (quote(EURUSD_X, 1739789683000, 1.0489877),),
         at_ms=FEBRUARY_2025_MS),
    Case("quote_GC_F_20250217.json", (GC_F,), Verdict.OK,
         (quote(GC_F, 1739789091000, 2910.3, 2910.7, 2910.8, 54706.0),), at_ms=FEBRUARY_2025_MS),
    # bid 0.0 and ask 0.0 mean none
    Case("quote_VXAPL_index_closed_20250217.json", (VXAPL,), Verdict.OK, (quote(VXAPL, 1739566922000, 23.77),),
         at_ms=FEBRUARY_2025_MS),
    Case("quote_AAPL_BABA_multi_20250217.json", (BABA, AAPL), Verdict.OK,
         (quote(BABA, 1739566802000, 124.73, 124.75, 124.97, 52086273.0),
          quote(AAPL, 1739566800000, 244.6, 244.44, 253.37, 40896227.0)), at_ms=FEBRUARY_2025_MS),
    Case("quote_AAPL_20250217.json", (AAPL,), Verdict.OK,
         (quote(AAPL, 1739566800000, 244.6, 244.44, 253.37, 40896227.0),), at_ms=FEBRUARY_2025_MS),
    Case("quote_BTC_USD_20250217.json", (ask("BTC-USD"),), Verdict.OK,
         (quote(ask("BTC-USD"), 1739789580000, 96077.45),), at_ms=FEBRUARY_2025_MS),
    Case("quote_unknown_symbol_empty_20250217.json", (ask("SIX"),), UNKNOWN, refused=(UNKNOWN,)),
    Case("quote_fields_param_20250217.json", (ask("TSLA"),), Verdict.OK, (quote(ask("TSLA"), 1739566801000, 355.84),),
         at_ms=FEBRUARY_2025_MS),
    Case("quote_AAPL_MSFT_multi_raw_202510.json", (AAPL, MSFT), Verdict.OK,
         (quote(AAPL, 1761768001000, 269.7, 255.72, 269.86, 43332154.0),
          quote(MSFT, 1761768001000, 541.55, 540.89, 542.56, 33295714.0)), at_ms=OCTOBER_2025_MS),
    Case("error_401_invalid_crumb.json", (AAPL,), Verdict.BAD_SESSION),
    Case("error_401_access_feature.json", (AAPL,), Verdict.BAD_SESSION),
    Case("error_429_edge.txt", (AAPL,), Verdict.RATE_LIMITED, wait_s=900.0),
    Case("spark_AAPL_VTI_1mo_2021.json", (AAPL,), Verdict.OUTAGE),  # never asked for
)  # fmt: skip

GOLD = ask("GOLD", "XAUUSD")
ALPHAVANTAGE = (
    # "Last Refreshed" runs on over the weekend: no market time
    Case("currency_exchange_rate_USDJPY_20260517_sunday.json", (USDJPY,), Verdict.OK,
         (quote(USDJPY, None, 158.73166867, 158.72838292, 158.73495442),)),
    Case("currency_exchange_rate_USDJPY_20210425_sunday.json", (USDJPY,), Verdict.OK,
         (quote(USDJPY, None, 107.865, 107.8606, 107.8693),)),
    Case("gold_silver_spot_XAU_20260904.json", (GOLD,), Verdict.OK, (quote(GOLD, None, 4423.7080671183),)),
    # a price with a date and without a time is no latest price
    Case("global_quote_MSFT_20181005.json", (MSFT,), NO_DATA, refused=(NO_DATA,)),
    Case("global_quote_IBM_2026.csv", (ask("IBM"),), Verdict.OUTAGE),  # JSON was asked for
    Case("market_status_20260517.json", (USDJPY,), Verdict.OUTAGE),  # never asked for
    Case("realtime_bulk_quotes_ARTIFICIAL.json", (MSFT,), NOT_ENTITLED, refused=(NOT_ENTITLED,)),
    Case("error_information_daily_limit.json", (EURUSD,), Verdict.RATE_LIMITED, at_ms=BEFORE_MIDNIGHT_MS, wait_s=61.0),
    Case("error_information_one_per_second.json", (EURUSD,), Verdict.RATE_LIMITED, wait_s=2.0),
    Case("error_note_5_per_minute_500_per_day.json", (EURUSD,), Verdict.RATE_LIMITED, wait_s=60.0),
    Case("error_information_premium.json", (EURUSD,), NOT_ENTITLED, refused=(NOT_ENTITLED,)),
    Case("error_message_invalid_call.json", (EURUSD,), UNKNOWN, refused=(UNKNOWN,)),
    Case("error_message_apikey.json", (EURUSD,), Verdict.BAD_KEY),
)  # fmt: skip

TWELVEDATA = (
    Case("quote_EURUSD.json", (EURUSD,), Verdict.OK, (quote(EURUSD, 1764769477000, 1.16696),)),
    Case("quote_AAPL_closed.json", (AAPL,), Verdict.OK,
         (quote(AAPL, 1764685800000, 286.19, day_volume=53615500.0),)),
    # `timestamp` is the start of the day's candle, and last_quote_at is missing
    Case("batch_quote_AAPL_MSFT.json", (AAPL, MSFT), NO_DATA, refused=(NO_DATA, NO_DATA)),
    Case("eod_AAPL.json", (AAPL,), NO_DATA, refused=(NO_DATA,)),
    Case("exchange_rate_EURUSD.json", (EURUSD,), NO_DATA, refused=(NO_DATA,)),
    Case("price_MSFT.json", (MSFT,), Verdict.OUTAGE),  # whose price, and when?
    Case("market_state.json", (AAPL,), Verdict.OUTAGE),  # never asked for
    Case("error_404_symbol.json", (AAPL,), UNKNOWN, refused=(UNKNOWN,)),
    Case("error_401_apikey.json", (AAPL,), Verdict.BAD_KEY),
    Case("error_403_plan_statistics.json", (AAPL,), NOT_ENTITLED, refused=(NOT_ENTITLED,)),
    Case("error_422_no_data.json", (AAPL,), NO_DATA, refused=(NO_DATA,)),
    Case("error_429_minute.json", (EURUSD,), Verdict.RATE_LIMITED, wait_s=31.0, credits_left=0),
)  # fmt: skip

PAIRS = tuple(ask(f"C:{pair}") for pair in ("NZDGBP", "XAGCAD", "USDPHP"))
OPTION, SPX, DJI = ask("O:NCLH221014C00005000"), ask("SPX"), ask("I:DJI")
POLYGON = (
    Case("snapshot_forex_tickers_20220110.json", PAIRS, Verdict.OK,
         (quote(PAIRS[0], 1641849768000, None, 0.49788, 0.49803), quote(PAIRS[1], 1641849667000, None, 28.5, 28.51),
          quote(PAIRS[2], 1641849444000, None, 51.19, 51.22))),
    # the value of SPX has no time
    Case("snapshot_v3_indices_mixed_errors.json", (SPX, ask("APx"), ask("APy")), NO_DATA,
         refused=(NO_DATA, UNKNOWN, NOT_ENTITLED)),
    Case("doc_snapshot_v3_indices.json", (DJI, ask("APx"), ask("APy")), Verdict.OK,
         (quote(DJI, 1679597116344, 3822.39),), refused=(UNKNOWN, NOT_ENTITLED)),
    Case("snapshot_v3_universal.json", (ask("TSLAAPL"), OPTION, AAPL), Verdict.OK,
         (quote(OPTION, 1636573458756, None, 20.9, 21.25), quote(AAPL, 1636573458756, None, 20.9, 21.25)),
         refused=(UNKNOWN,)),
    Case("last_quote_AUDUSD_20220510.json", (ask("C:AUDUSD"),), Verdict.OUTAGE),  # never asked for, nor the next two
    Case("last_nbbo_AAPL_20220510.json", (AAPL,), Verdict.OUTAGE),
    Case("marketstatus_now_20220428.json", (AAPL,), Verdict.OUTAGE),
    Case("error_401_unknown_key.json", (PAIRS[0],), Verdict.BAD_KEY),
    Case("error_403_not_entitled.json", (PAIRS[0],), NOT_ENTITLED, refused=(NOT_ENTITLED,)),
    Case("error_429.json", (PAIRS[0],), Verdict.RATE_LIMITED, wait_s=31.0),
)  # fmt: skip

CASES = {
    f"{vendor}/{case.file}": case
    for vendor, cases in {
        "yahoo": YAHOO, "alphavantage": ALPHAVANTAGE, "twelvedata": TWELVEDATA, "polygon": POLYGON,
    }.items()
    for case in cases
}  # fmt: skip


@pytest.mark.parametrize("file", CASES)
def test_a_recorded_reply_is_read_as_what_it_is(file: str, shared: Path) -> None:
    case, vendor = CASES[file], file.partition("/")[0]
    record = recorded(shared)[file]
    answer = reply(
        (shared / "providers" / file).read_bytes(), int(str(record["status"])), case.at_ms, headers_of(record)
    )
    reading = latest(vendor, case.asks, answer)
    quoted = {q.symbol for q in case.quotes}
    without = [a.symbol for a in case.asks if a.symbol not in quoted]
    assert reading == Reading(
        case.verdict, case.quotes, dict(zip(without, case.refused, strict=False)), reading.detail, case.wait_s,
        case.credits_left,
    )  # fmt: skip


def test_the_recorded_crumb_is_a_token_and_nothing_else_recorded_is(shared: Path) -> None:
    yahoo = VENDORS["yahoo"]
    folder = shared / "providers" / "yahoo"
    crumb = (folder / "getcrumb_ok_20250216.txt").read_bytes()
    assert yahoo.read_token(reply(crumb)) == crumb.decode()
    others = [path for path in folder.iterdir() if path.name != "getcrumb_ok_20250216.txt"]
    assert {yahoo.read_token(reply(path.read_bytes())) for path in others} == {None}


def test_the_consent_redirect_is_no_answer_and_no_token(shared: Path) -> None:
    head = (shared / "providers" / "yahoo" / "consent_redirect_307_20250217.headers.txt").read_text()
    assert "307" in head.splitlines()[0]
    yahoo = VENDORS["yahoo"]
    answer = reply(b"", 307, headers={"location": "https://guce.yahoo.com/consent?gcrumb=MASKED"})
    assert yahoo.read_latest(yahoo.latest([AAPL], CREDENTIALS), answer).verdict is Verdict.OUTAGE
    assert yahoo.read_token(answer) is None


def recorded(shared: Path) -> dict[str, dict[str, object]]:
    """Return the index of the recordings, by file."""
    rows: list[dict[str, object]] = json.loads((shared / "providers" / "index.json").read_text())
    return {str(row["file"]): row for row in rows}


def headers_of(record: Mapping[str, object]) -> dict[str, str]:
    """Return the headers of one recording."""
    headers = record["headers"]
    return {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}
