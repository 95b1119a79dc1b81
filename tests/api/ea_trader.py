"""The expert advisor as it trades: no memory, one poll a second, three tries for a report, at most three positions.

It is made after the contract that docs/api.md gives its clients, faults included, so that tests can count what it does.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import httpx

from tests.api import ea_client
from tests.api.ea_client import Order

Fate = Literal["arrives", "reply_lost", "request_lost", "timeout"]
"""What becomes of one POST. After `reply_lost` the server knows, and the client doesn't; a `timeout` is a lost request
that takes its time."""

TRIES = 3
TIMEOUT_MS = 5_000
MOST_POSITIONS = 3
LEAST_CONFIDENCE = 0.5
STEP_TOLERANCE = Decimal("0.01")
# The first line of each reply's headers stands in the client's next request.
ECHOED = ("content-type", "content-length")


@dataclass(frozen=True)
class Placed:
    """One order at the broker. moved: the client put its stop or target on the other side of the market."""

    order: Order
    trade_id: str
    moved: bool


@dataclass
class ExpertAdvisor:
    """One client on one chart.

    fate: asked before each POST. wait: called with the milliseconds that a timeout takes. market: broker's symbol ->
    price. terms: broker's symbol -> step (and minimum) and maximum of lots.
    """

    client: httpx.AsyncClient
    terms: Mapping[str, tuple[Decimal, Decimal]]
    market: Mapping[str, float]
    fate: Callable[[], Fate]
    wait: Callable[[int], None]
    most_positions: int = MOST_POSITIONS
    placed: list[Placed] = field(default_factory=list)
    known_to_server: set[str] = field(default_factory=set)
    """Trades whose report arrived, whether the client knows or not."""
    first_trade: int = 1
    _headers: dict[str, str] = field(default_factory=dict)
    _body: str = ""

    async def poll(self, equity: float) -> list[Placed]:
        """Ask once, and do what it does with the answer; return the orders of this poll."""
        path = f"/api/signals?equity={equity:.2f}"
        # Headers and body are those of the call before.
        reply = await self.client.request("GET", path, content=self._body, headers=self._headers)
        self._echo(reply)
        before = len(self.placed)
        for order in handled(ea_client.read(reply.content)) if reply.status_code == 200 else []:
            if len(self.placed) < self.most_positions and self._takes(order):
                await self._trade(order)
        return self.placed[before:]

    async def shut_down(self) -> bool:
        """Say goodbye, in a body that is shorter than the one before; return whether a try was answered with 200."""
        body = '{"event":"ea_shutdown","reason":1,"equity":1000.00,"pnl":0.00,"trades":0}'
        for _ in range(TRIES):
            if await self._post("/api/events", body):
                return True
        return False

    def _takes(self, order: Order) -> bool:
        if order.symbol not in self.terms or order.confidence < LEAST_CONFIDENCE:
            return False
        step, most = self.terms[order.symbol]
        lots = Decimal(repr(order.lots))
        off = abs(lots / step - round(lots / step))
        return step <= lots <= most and off <= STEP_TOLERANCE

    async def _trade(self, order: Order) -> None:
        price = self.market[order.symbol]
        up = 1 if order.action == "BUY" else -1
        moved = (price - order.stop_loss) * up <= 0 or (order.take_profit_1 - price) * up <= 0
        placed = Placed(order, str(self.first_trade + len(self.placed)), moved)
        self.placed.append(placed)
        for _ in range(TRIES):
            if await self._post("/api/executions", _fill(placed, price), placed.trade_id):
                return

    async def _post(self, path: str, body: str, trade_id: str = "") -> bool:
        # A shorter body leaves the tail of the longer one before it.
        self._body = body + self._body[len(body) :]
        fate = self.fate()
        if fate in ("timeout", "request_lost"):
            self.wait(TIMEOUT_MS if fate == "timeout" else 0)
            return False
        reply = await self.client.post(path, content=self._body, headers={"content-type": "text/plain"})
        self.known_to_server |= {trade_id} if trade_id and reply.status_code == 200 else set()
        if fate == "reply_lost":
            return False
        self._echo(reply)
        return reply.status_code == 200

    def _echo(self, reply: httpx.Response) -> None:
        self._headers = {name: reply.headers[name] for name in ECHOED}


def handled(orders: list[Order]) -> list[Order]:
    """Return what it executes of one reply: the first of several twice, and never the last."""
    return orders if len(orders) < 2 else [orders[0], *orders[:-1]]


def _fill(placed: Placed, price: float) -> str:
    order = placed.order
    return (
        f'{{"trade_id":"{placed.trade_id}","symbol":"{order.symbol}","action":"{order.action}",'
        f'"entry_price":{price:.5f},"lots":{order.lots:.2f},"stop_loss":{order.stop_loss:.5f},'
        f'"take_profit":{order.take_profit_1:.5f},"timestamp":"2026.06.17 17:00","latency_ms":1000,"spread":1.50000,'
        f'"slippage":0.25000,"alpha_id":"{order.alpha_id}","regime":"{order.regime}","q_star":{order.q_star:.2f}}}'
    )
