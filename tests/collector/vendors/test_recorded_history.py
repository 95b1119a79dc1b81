"""Every recorded reply that has to do with history."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from collector.vendors.base import Ask, Verdict
from common.messages import RawBar, Timeframe
from tests.collector.vendors.support import ask, history, reply
from tests.collector.vendors.test_recorded_latest import headers_of, recorded

LATE_MS = 1_800_000_000_000
"""Long after any of the recordings: whatever could close has closed."""
EURUSD, PAIR, INDEX = ask("EUR/USD"), ask("C:EURUSD", volume_kind="ticks"), ask("I:NDX")


@dataclass(frozen=True)
class Case:
    """One recording: what was asked, when the answer came, and what has to be made of it."""

    what: Ask
    timeframe: Timeframe
    verdict: Verdict
    count: int = 0
    first: RawBar | None = None
    last: RawBar | None = None
    at_ms: int = LATE_MS


def traded(symbol: str) -> Ask:
    """Return an ask for an instrument whose volume counts."""
    return ask(symbol, volume_kind="traded")


NO_DATA, OUTAGE, OK = Verdict.NO_DATA, Verdict.OUTAGE, Verdict.OK
CASES = {
    # one day a bar is not what was asked for
    "yahoo/chart_EURUSD_1d_2020.json": Case(ask("EURUSD=X"), "1h", NO_DATA),
    "yahoo/chart_GC_F_1d_2020.json": Case(traded("GC=F"), "1m", NO_DATA),
    "yahoo/chart_GS2C_DE_1d_range5d_20251029.json": Case(traded("GS2C.DE"), "1h", NO_DATA),
    "yahoo/chart_MSFT_1d_range6mo_202510.json": Case(traded("MSFT"), "1h", NO_DATA),
    "yahoo/chart_INR_X_1d_null_day_2017.json": Case(ask("INR=X"), "1h", NO_DATA),
    "yahoo/chart_AAPL_1m_weekend_no_timestamp.json": Case(traded("AAPL"), "1m", NO_DATA),
    # 31 rows: the last is the closing point, at 16:00:00 and flat
    "yahoo/chart_AMZN_1m_range30m_20230502.json": Case(
        traded("AMZN"), "1m", OK, 30,
        RawBar(1683055800000, 103.7, 103.72, 103.6, 103.6, 0.0),
        RawBar(1683057540000, 103.775, 103.79, 103.58, 103.66, 862819.0),
        at_ms=1_683_057_605_000,
    ),
    # 31 rows: the last is off the grid, the hour before it had 49 minutes to go
    "yahoo/chart_BTC_USD_1h_range30h_20240401.json": Case(
        ask("BTC-USD"), "1h", OK, 29,
        RawBar(1711846800000, 69894.81, 70082.25, 69876.0, 70050.086),
        RawBar(1711947600000, 70468.72, 70525.195, 69157.266, 69357.37),
        at_ms=1_711_951_871_000,
    ),
    "yahoo/chart_TNX_index_5m_1d_20260202.json": Case(
        ask("^TNX"), "5m", OK, 15,
        RawBar(1770057900000, 4.271, 4.273, 4.271, 4.271), RawBar(1770062100000, 4.273, 4.275, 4.269, 4.275),
    ),
    "yahoo/error_404_chart_not_found.json": Case(ask("NOSUCH"), "1m", Verdict.UNKNOWN_SYMBOL),
    "yahoo/error_422_1m_window.json": Case(traded("AAPL"), "1m", Verdict.BAD_REQUEST),
    "alphavantage/fx_intraday_EURUSD_5min_20200506.json": Case(
        EURUSD, "5m", OK, 2,
        RawBar(1588801800000, 1.0793, 1.0796, 1.0792, 1.0795), RawBar(1588802100000, 1.0795, 1.0795, 1.0792, 1.0794),
    ),
    "alphavantage/fx_intraday_EURUSD_5min_20260515.csv": Case(EURUSD, "5m", OUTAGE),  # JSON was asked for
    "alphavantage/fx_daily_EURUSD_2026.csv": Case(EURUSD, "1h", OUTAGE),
    "alphavantage/time_series_intraday_IBM_5min_2026.csv": Case(EURUSD, "5m", OUTAGE),
    "alphavantage/time_series_intraday_IBM_5min_20200508.json": Case(EURUSD, "5m", NO_DATA),  # stocks, in US/Eastern
    "alphavantage/time_series_intraday_MSFT_1min_20171218.json": Case(EURUSD, "1m", NO_DATA),
    "alphavantage/fx_daily_EURAUD_partial_2021.json": Case(ask("EUR/AUD"), "1h", NO_DATA),
    "twelvedata/time_series_AAPL_5min.json": Case(
        traded("AAPL"), "5m", OK, 10,
        RawBar(1764688200000, 286.505, 286.77991, 286.44, 286.73999, 10589022.0),
        RawBar(1764690900000, 285.79999, 286.29, 285.79999, 286.23001, 1156358.0),
    ),
    "twelvedata/time_series_XAUUSD_5min_20221103.json": Case(
        ask("XAU/USD"), "5m", OK, 1,
        RawBar(1667442300000, 1647.10999, 1647.48999, 1646.97998, 1647.41003),
        RawBar(1667442300000, 1647.10999, 1647.48999, 1646.97998, 1647.41003),
    ),
    "twelvedata/time_series_TSLA_1day.json": Case(traded("TSLA"), "1h", NO_DATA),
    "twelvedata/batch_time_series_AAPL_MSFT.json": Case(traded("AAPL"), "1h", OUTAGE),  # one symbol is asked for
    "twelvedata/error_400_interval.json": Case(traded("AAPL"), "1m", Verdict.BAD_REQUEST),
    # nothing in the body tells that these are days: their stamps are whole hours
    "polygon/aggs_CEURUSD_1day_desc.json": Case(
        PAIR, "1h", OK, 10,
        RawBar(1672531200000, 1.06849, 1.0793, 1.06788, 1.0793, 12.0),
        RawBar(1673308800000, 1.07325, 1.07593, 1.071, 1.07383, 202545.0),
    ),
    "polygon/aggs_INDX_1day_asc.json": Case(
        INDEX, "1h", OK, 54,
        RawBar(1677045600000, 12085.67432708806, 12156.21386217595, 12006.0375472456, 12066.27182303612),
        RawBar(1683694800000, 13308.4145796211, 13384.41817363996, 13204.78680298946, 13347.82747307838),
    ),
    "polygon/aggs_AAPL_1day_2005.json": Case(
        traded("AAPL"), "1h", OK, 2,
        RawBar(1112331600000, 1.5032, 1.5064, 1.4489, 1.4604, 642646396.0),
        RawBar(1112587200000, 1.4639, 1.4754, 1.4343, 1.4675, 578172308.0),
    ),
    "polygon/doc_aggs_INDX.json": Case(
        INDEX, "1h", OK, 2,
        RawBar(1678341600000, 12230.83658266843, 12340.44936267155, 11970.34221717375, 11995.88235998666),
        RawBar(1678428000000, 12001.69552583921, 12069.62262033557, 11789.85923449393, 11830.28178808306),
    ),
    "polygon/aggs_empty_CEURUSD.json": Case(PAIR, "1m", NO_DATA),
    "polygon/doc_quotes_v3_CEURUSD.json": Case(PAIR, "1m", OUTAGE),  # never asked for
    "polygon/error_400_bad_date.json": Case(PAIR, "1m", Verdict.BAD_REQUEST),
}  # fmt: skip
OF_THE_TOKEN = {"yahoo/getcrumb_ok_20250216.txt", "yahoo/consent_redirect_307_20250217.headers.txt"}
"""Tested with the latest prices."""


@pytest.mark.parametrize("file", CASES)
def test_recorded_history_is_read_as_what_it_is(file: str, shared: Path) -> None:
    case, record = CASES[file], recorded(shared)[file]
    body, status = (shared / "providers" / file).read_bytes(), int(str(record["status"]))
    reading = history(
        file.partition("/")[0], case.what, case.timeframe, reply(body, status, case.at_ms, headers_of(record))
    )
    ends = (reading.bars[0], reading.bars[-1]) if reading.bars else (None, None)
    assert (reading.verdict, len(reading.bars), *ends) == (case.verdict, case.count, case.first, case.last)
    assert reading.next is None


@pytest.mark.parametrize("file", [f for f in CASES if f.startswith("yahoo/") and CASES[f].verdict is OK])
def test_chart_prices_are_the_shortest_decimals_of_their_float32(file: str, shared: Path) -> None:
    case, body = CASES[file], (shared / "providers" / file).read_bytes()
    chart = json.loads(body)["chart"]["result"][0]
    columns = chart["indicators"]["quote"][0]
    narrowed = [[float(str(np.float32(v))) for v in columns[name]] for name in ("open", "high", "low", "close")]
    expected = list(zip((s * 1000 for s in chart["timestamp"]), *narrowed, strict=True))[: case.count]
    reading = history("yahoo", case.what, case.timeframe, reply(body, received_ms=case.at_ms))
    assert prices(reading.bars) == expected


@pytest.mark.parametrize("file", [f for f in CASES if f.startswith("polygon/") and CASES[f].verdict is OK])
def test_aggregates_are_taken_as_they_stand_oldest_first(file: str, shared: Path) -> None:
    case, body = CASES[file], (shared / "providers" / file).read_bytes()
    rows = sorted(json.loads(body)["results"], key=lambda row: int(row["t"]))
    reading = history("polygon", case.what, case.timeframe, reply(body, received_ms=case.at_ms))
    assert prices(reading.bars) == [(row["t"], row["o"], row["h"], row["l"], row["c"]) for row in rows]


def prices(bars: Sequence[RawBar]) -> list[tuple[object, ...]]:
    """Return time and prices of bars."""
    return [(bar.open_ms, bar.open, bar.high, bar.low, bar.close) for bar in bars]
