"""A tick of the client's own terminal: from the POST to its 200, and to the quote for features; real processes."""

import http.client
import json
import os
import statistics
import time
from pathlib import Path

from bench.processes import stages, took_ms, wait_until
from bench.row import Row
from bench.valkey import free_port, valkey
from common.keys import QUOTES
from common.redis_link import Link, open_link
from common.settings import Settings

TICKS = 100  # a round; fewer than the api takes a minute
ROUNDS = 5
TABLE = """
[class.terminal_fx]
title = "the terminal"
session = "fx"
[symbol.EURUSD]
title = "Euro"
broker = "EURUSD"
series = "terminal_fx"
quote_currency = "USD"
tick_size = 0.00001
digits = 5
contract_size = 100000.0
lot_min = 0.01
lot_step = 0.01
lot_max = 100.0
sources = [{ vendor = "mt5", symbol = "EURUSD", class = "terminal_fx", volume = "ticks", delay_s = 0 }]
"""


def run() -> list[Row]:
    """Return the ways of a tick, each beside what it can't be without: an fsync of the same disk in the same run."""
    port = free_port()
    with valkey() as settings:
        table = settings.state_dir / "symbols.toml"
        table.write_text(TABLE)
        given = {"SYMBOLS": "EURUSD", "SYMBOLS_FILE": str(table), "SIMULATOR_URL": "", "PUSH": "off"}
        with stages(("collector", "validator", "api"), settings, given, port):
            return _measured(settings, port)


def _measured(settings: Settings, port: int) -> list[Row]:
    link, connection = open_link(settings), http.client.HTTPConnection("127.0.0.1", port)
    client = Client(link, connection)
    for _ in range(20):
        client.way()
    rounds = [[client.way() for _ in range(TICKS)] for _ in range(ROUNDS)]
    disk = [statistics.median(_fsync(settings.state_dir / "fsync") for _ in range(TICKS)) for _ in range(ROUNDS)]
    connection.close()
    kept = [statistics.median(kept for kept, _ in one) for one in rounds]
    seen = [statistics.median(seen for _, seen in one) for one in rounds]
    worst = [sorted(seen for _, seen in one)[int(0.95 * TICKS)] for one in rounds]
    bare = "one bare fsync"
    return [
        Row("POST /api/ticks -> 200, p50", "ms", kept, bare, disk),
        Row("POST /api/ticks -> quote for features, p50", "ms", seen, bare, disk),
        Row("the same, p95", "ms", worst, bare, disk),
    ]


class Client:
    """Posts one tick after the other."""

    def __init__(self, link: Link, connection: http.client.HTTPConnection) -> None:
        self._link, self._connection, self._number = link, connection, 0

    def way(self) -> tuple[float, float]:
        """Post a tick; return the ms to its 200 and to its quote."""
        self._number += 1
        at_ms, bid = int(time.time() * 1000), round(1.08 + self._number % 50 / 100_000, 5)
        tick = {"symbol": "EURUSD", "time_msc": at_ms, "bid": bid, "ask": round(bid + 0.0001, 5)}
        body = json.dumps({"account": 1, "gmt_offset_s": 0, "batch": self._number, "ticks": [tick]})
        mark = f'"market_ms":{at_ms},'.encode()
        began = time.perf_counter()
        self._connection.request("POST", "/api/ticks", body)
        reply = self._connection.getresponse()
        answer = reply.read()
        kept_ms = (time.perf_counter() - began) * 1000
        if reply.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{reply.status}: {answer!r}")
        wait_until(lambda: self._is_there(mark), 5)
        seen_ms = (time.perf_counter() - began) * 1000
        time.sleep(0.03)  # the api takes twenty batches a second
        return kept_ms, seen_ms

    def _is_there(self, mark: bytes) -> bool:
        newest = self._link.call("XREVRANGE", QUOTES.key(0), "+", "-", "COUNT", 4)
        return mark in repr(newest).encode()


def _fsync(path: Path) -> float:
    return took_ms(lambda: _append(path))


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x" * 512)
        file.flush()
        os.fsync(file.fileno())
