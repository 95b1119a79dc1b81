"""The example client: its decisions by themselves, and a whole run of it against a real server."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import redis

from common.features import FormingSet
from docs.python_client.client import Api, PaperTrader, Signal, Terms, Trade, refusal, trade_id_of
from tests.api.test_transport import ROOT, Server, start, stop
from tests.api.world import NOON_MS, PRICES, Wall, World, settings_for
from tests.conftest import RedisServer
from tests.support import free_port, wait_until

CLIENT = ROOT / "docs" / "python_client" / "client.py"
SIGNAL = Signal("i", "US100.e", "NAS100", "BUY", 7.5, 100.0, 90.0, 120.0, 0.3, "a", "r", 3_000)
INDEX = Terms(1.0, 0.1, 0.1, 5.0, "USD")


@pytest.mark.parametrize(
    ("changes", "passed_ms", "price", "why"),
    [
        ({}, 2_999, 100.0, ""),
        ({}, 3_000, 100.0, "expired"),
        ({}, 0, None, "not known"),
        ({}, 0, 90.0, "not between"),
        ({}, 0, 120.0, "not between"),
        ({"action": "SELL"}, 0, 100.0, "not between"),
        ({"action": "SELL", "stop_loss": 110.0, "take_profit_1": 80.0}, 0, 100.0, ""),
        ({"action": "HOLD"}, 0, 100.0, "unknown action"),
        ({"lots": 0.25}, 0, 100.0, "lots"),
        ({"lots": 0.0}, 0, 100.0, "lots"),
        ({"lots": 5.1}, 0, 100.0, "lots"),
    ],
)
def test_a_signal_is_traded_or_refused_and_never_corrected(
    changes: dict[str, str | float], passed_ms: float, price: float | None, why: str
) -> None:
    found = refusal(replace(SIGNAL, **changes), passed_ms, INDEX, price)  # type: ignore[arg-type]  # made of both kinds
    assert (why in found) if why else (found == "")


def test_a_position_ends_at_its_stop_or_target() -> None:
    bought = Trade("1", "NAS100", "BUY", 0.1, 100.0, 90.0, 120.0)
    sold = replace(bought, action="SELL", stop=110.0, target=80.0)
    assert [bought.end(price) for price in (89.0, 90.1, 119.9, 121.0)] == [("SL", 90.0), None, None, ("TP1", 120.0)]
    assert [sold.end(price) for price in (111.0, 109.9, 80.1, 79.0)] == [("SL", 110.0), None, None, ("TP1", 80.0)]


class Market:
    """A pipeline that lives in real time on a Wednesday noon, its price as the test sets it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.price = PRICES["NAS100"]
        self._began_ms = int(time.time() * 1000)
        self._over = threading.Event()
        self.beat()

    def beat(self) -> None:
        """Write everything anew."""
        wall_ms = int(time.time() * 1000)
        self.world.wall.ms = NOON_MS + wall_ms - self._began_ms
        self.world.clock(wall_ms=wall_ms)
        self.world.engine(wall_ms=wall_ms)
        open_ms, price = self.world.wall.ms, self.price
        forming = FormingSet(open_ms, price, price, price, price, 0.0, 1, {})
        for timeframe in ("1s", "1m"):
            self.world.lane("NAS100", timeframe, forming=forming)
        self.world.status("NAS100")

    @contextmanager
    def living(self) -> Iterator[None]:
        """Beat until the end."""
        thread = threading.Thread(target=self._live)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _live(self) -> None:
        while not self._over.wait(0.3):
            self.beat()


@pytest.fixture
def market(redis_server: RedisServer, redis_client: "redis.Redis", tmp_path: Path) -> Iterator[Market]:
    made = Market(World(redis_client, settings_for(redis_server.port, tmp_path), Wall()))
    with made.living():
        yield made


@pytest.fixture
def server(market: Market, redis_server: RedisServer, tmp_path: Path) -> Iterator[Server]:
    running = start({"REDIS_PORT": str(redis_server.port), "LIMITS": "none"}, tmp_path)
    yield running
    stop(running)


def asked(server: Server, path: str) -> dict:
    return dict(httpx.get(f"http://127.0.0.1:{server.port}{path}").json())


def position_is(server: Server, status: str) -> bool:
    held = asked(server, "/api/positions")["positions"]
    return [position["status"] for position in held] == [status]


def test_a_run_of_it_fills_reports_closes_and_says_goodbye(market: Market, server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}"
    command = [sys.executable, str(CLIENT), "--url", url, "--equity", "10000", "--seconds", "7"]
    made = market.world.signal("NAS100", expires_ms=NOON_MS + 120_000)
    client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: position_is(server, "open"), 6, "the client to report its fill")
    market.price = 15040.0
    said, _ = client.communicate(timeout=20)
    assert client.returncode == 0
    (held,) = asked(server, "/api/positions")["positions"]
    # By hand: 100 USD at risk, 15 points (15,005 to the stop as it is sent, 14,990.00): 6.6 lots.
    assert (held["lots"], held["signal_id"], held["presumed"]) == (6.6, made.id, False)
    assert (held["exit_reason"], held["exit_price"]) == ("TP1", 15035.01)
    # 30.01 points x 6.6 lots x 1 USD.
    total = asked(server, "/api/performance")["total"]
    assert (total["trades"], total["net"]) == (1, 198.07)
    assert asked(server, "/health")["components"]["mt5"]["equity"] == 10_198.07
    assert said.count("BUY 6.6 NAS100") == 1
    assert "withheld NAS100: executed" in said


class Stubborn:
    """A server that serves one signal for ever, whatever it is told. refusing: paths that it answers with 503."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refusing: set[str] = set()
        self.price = 100.0

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(path)
        table = {"contract_size": 1.0, "lot_min": 0.1, "lot_step": 0.1, "lot_max": 5.0, "quote_currency": "USD"}
        replies: dict[str, object] = {
            "/api/signals": {"signals": [vars(SIGNAL)], "withheld": []},
            "/api/positions": {"positions": []},
            "/api/account": {"currency": "USD"},
            "/api/broker/symbols": {"symbols": [{"symbol": "NAS100", "holds": "table", "table": table}]},
            "/api/features/NAS100": {"current": True, "data_age_ms": 0, "forming": {"close": self.price}},
        }
        return httpx.Response(503 if path in self.refusing else 200, json=replies.get(path, {}))

    @contextmanager
    def trader(self) -> Iterator[PaperTrader]:
        api = Api("http://stubborn", "")
        api.client.close()
        api.client = httpx.Client(base_url="http://stubborn", transport=httpx.MockTransport(self.answer))
        with closing(api.client):
            yield PaperTrader(api, 10_000.0)


def test_a_signal_that_is_served_again_and_again_is_filled_once() -> None:
    server = Stubborn()
    with server.trader() as trader:
        for price in (100.0, 100.0, 121.0, 100.0, 100.0):  # its target in between
            server.price = price
            trader.step()
    assert (server.asked.count("/api/executions"), server.asked.count("/api/executions/close")) == (1, 1)
    assert trader.equity == 10_006.0  # 20 points x 0.3 lots


def test_a_report_is_sent_until_it_is_taken_and_meanwhile_nothing_is_asked_for() -> None:
    server = Stubborn()
    server.refusing = {"/api/executions"}
    with server.trader() as trader:
        for _ in range(4):
            trader.step()
        assert (server.asked.count("/api/executions"), server.asked.count("/api/signals")) == (4, 1)
        server.refusing = set()
        trader.step()
    assert (server.asked.count("/api/executions"), server.asked.count("/api/signals")) == (5, 2)


def test_a_server_that_does_not_answer_ends_nothing_and_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    api = Api(url, "")
    with closing(api.client):
        trader = PaperTrader(api, 1_000.0)
        trader.step()
        trader.step()
    assert capsys.readouterr().out == f"trouble: {url} does not answer: ConnectError\n"


def test_a_client_that_starts_again_takes_up_what_it_left_open(market: Market, server: Server) -> None:
    made = market.world.signal("NAS100", expires_ms=NOON_MS + 120_000)
    api = Api(f"http://127.0.0.1:{server.port}", "")
    with closing(api.client):
        first = PaperTrader(api, 10_000.0)
        first.step()
        (trade_id,) = first.open
        second = PaperTrader(api, 10_000.0)
        assert second.resume()
        assert trade_id == trade_id_of(Signal.of({**vars(SIGNAL), "id": made.id}))
        assert list(second.open) == [trade_id]
        second.step()
        assert list(second.open) == [trade_id]
