"""Every recorded frame, of servers and of clients, and the count that none of all the recordings is left out."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.vendors import STREAMS
from collector.vendors.base import Ask, Credentials, Verdict
from collector.vendors.stream import FrameReading, PushedBar
from collector.vendors.yahoo import pricing
from common.messages import RawBar, RawQuote
from tests.collector.vendors.support import ask
from tests.collector.vendors.test_recorded_history import CASES as HISTORY
from tests.collector.vendors.test_recorded_history import OF_THE_TOKEN
from tests.collector.vendors.test_recorded_latest import CASES as LATEST
from tests.collector.vendors.test_recorded_latest import quote, recorded

AT_MS = 1_800_000_000_000
AAPL, BTC = ask("AAPL", volume_kind="traded"), ask("BTC-USD")
EUR, GBP, XAU = ask("EUR/USD"), ask("GBP/USD"), ask("XAU/USD")
CNH, SGD, AUD, SPX = ask("C:USDCNH"), ask("C:USDSGD", volume_kind="ticks"), ask("C:AUDUSD"), ask("I:SPX")


@dataclass(frozen=True)
class Case:
    """One frame of a server: who listens, and what has to be made of it. `detail` is not compared."""

    asks: tuple[Ask, ...]
    reading: FrameReading


CASES = {
    "yahoo/ws_v1_AAPL_20240306.frame.txt": Case(
        (AAPL,), FrameReading(
            quotes=(quote(AAPL, 1709757487000, 168.99, day_volume=53985930.0),), subscribed=("AAPL",))),
    "yahoo/ws_v2_AAPL_20260805.frame.json": Case(
        (AAPL,), FrameReading(
            quotes=(quote(AAPL, 1785937395000, 307.2, day_volume=5422202.0),), subscribed=("AAPL",))),
    "yahoo/ws_v2_BTC_USD_20251030.frame.json": Case(
        (AAPL, BTC), FrameReading(quotes=(quote(BTC, 1761785160000, 110429.42),), subscribed=("BTC-USD",))),
    "twelvedata/ws_subscribe_status_ok.json": Case((EUR,), FrameReading(subscribed=("EUR/USD",))),
    "twelvedata/ws_price_AAPL_2020.json": Case(
        (AAPL,), FrameReading(quotes=(quote(AAPL, 1592249566000, 342.0157, day_volume=27631112.0),))),
    "twelvedata/ws_price_XAUUSD_20220322.json": Case(
        (EUR, XAU), FrameReading(quotes=(quote(XAU, 1647950462000, 1925.18, 1925.05, 1925.32),))),
    "twelvedata/ws_heartbeat.json": Case((EUR,), FrameReading()),
    "polygon/ws_connected.json": Case((AUD,), FrameReading(send=('{"action":"auth","params":"KEY"}',))),
    "polygon/ws_auth_success.json": Case(
        (AUD, CNH), FrameReading(send=('{"action":"subscribe","params":"C.AUD/USD,C.USD/CNH"}',))),
    "polygon/ws_auth_failed.json": Case((AUD,), FrameReading(Verdict.BAD_KEY)),
    "polygon/ws_subscribed.json": Case((AUD, CNH), FrameReading(subscribed=("C:AUDUSD",))),
    "polygon/ws_CA_USDSGD_20231024.json": Case(
        (SGD,), FrameReading(bars=(PushedBar(
            "C:USDSGD", "some_class", 1698116460000,
            RawBar(1698116400000, 1.36503, 1.36505, 1.3645, 1.365, 72.0)),))),
    "polygon/ws_C_USDCNH.json": Case(
        (CNH,), FrameReading(quotes=(RawQuote("C:USDCNH", "some_class", 1536036818784, bid=6.83363, ask=6.83366),))),
    "polygon/ws_V_ISPX.json": Case((SPX,), FrameReading(quotes=(quote(SPX, 1678220098130, 3988.5),))),
}  # fmt: skip
DECODED = {
    name.replace(".frame.json", ".decoded.json").replace(".frame.txt", ".decoded.json"): name
    for name in CASES
    if ".frame." in name
}
OURS = {
    "yahoo/ws_client_subscribe.json": ("EURUSD=X", "GBPUSD=X", "GC=F", "NQ=F", "ES=F", "YM=F"),
    "twelvedata/ws_client_subscribe.json": ("EUR/USD", "GBP/USD", "XAU/USD"),
    "twelvedata/ws_client_heartbeat.json": ("EUR/USD",),
    "polygon/ws_client_auth.json": ("C:EURUSD",),
    "polygon/ws_client_subscribe.json": ("C:EURUSD", "C:GBPUSD", "C:XAUUSD"),
}
"""Frames of a client -> the symbols that it asked for."""
KEY = Credentials(key="KEY")  # as the recordings mask it


@pytest.mark.parametrize("file", CASES)
def test_a_recorded_frame_is_read_as_what_it_is(file: str, shared: Path) -> None:
    case, stream = CASES[file], STREAMS[file.partition("/")[0]]
    frame = (shared / "providers" / file).read_bytes()
    for form in (frame.decode(), frame):
        reading = stream.converse(stream.endpoints(case.asks, KEY)[0], KEY).read(form, AT_MS)
        assert (
            FrameReading(
                reading.verdict, reading.quotes, reading.bars, reading.send, reading.subscribed, reading.refused
            )
            == case.reading
        )


@pytest.mark.parametrize("file", DECODED)
def test_a_recorded_frame_decodes_to_the_recorded_values(file: str, shared: Path) -> None:
    frame = (shared / "providers" / DECODED[file]).read_text()
    encoded = json.loads(frame)["message"] if frame.startswith("{") else frame
    assert pricing.read(base64.b64decode(encoded)) == json.loads((shared / "providers" / file).read_text())


@pytest.mark.parametrize("file", OURS)
def test_what_we_send_has_the_recorded_shape(file: str, shared: Path) -> None:
    stream = STREAMS[file.partition("/")[0]]
    talk = stream.converse(stream.endpoints([ask(symbol) for symbol in OURS[file]], KEY)[0], KEY)
    statuses = ('[{"ev":"status","status":"connected"}]', '[{"ev":"status","status":"auth_success"}]')
    answers = [frame for status in statuses for frame in talk.read(status, AT_MS).send]
    sent = [*talk.opened(), *talk.periodic(), *answers]
    assert json.loads((shared / "providers" / file).read_text()) in [json.loads(frame) for frame in sent]


def test_the_recordings_were_made_where_we_connect(shared: Path) -> None:
    for file, row in recorded(shared).items():
        if row["channel"] == "ws" and str(row["request"]).startswith("WS wss://") and file in CASES:
            stream = STREAMS[str(row["vendor"])]
            (endpoint,) = stream.endpoints(CASES[file].asks, KEY)
            query = "&".join(f"{name}={value}" for name, value in endpoint.params)
            ours = f"WS {stream.stream_hosts[endpoint.host]}{endpoint.path}{'?' if query else ''}{query}"
            assert ours == str(row["request"]) or "_v1_" in file  # version 1 has no query


def test_every_recording_is_parsed_or_classified(shared: Path) -> None:
    polled, pushed = LATEST.keys() | HISTORY.keys() | OF_THE_TOKEN, CASES.keys() | DECODED.keys() | OURS.keys()
    rows = recorded(shared)
    assert {file for file, row in rows.items() if row["channel"] == "ws"} == pushed
    assert {file for file, row in rows.items() if row["channel"] != "ws"} == polled
    assert len(polled) + len(pushed) == len(rows)
