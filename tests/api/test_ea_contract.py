"""Hundreds of situations, read as the expert advisor reads: whatever comes, no wrong order."""

import json
import random
import re
from decimal import Decimal

import httpx
import msgspec
import pytest

from api.context import Context
from tests.api import ea_client
from tests.api.world import NOON_MS, PRICES, SYMBOLS, World, signal_for

Api = tuple[httpx.AsyncClient, Context]

ORDER = ["symbol", "action", "confidence", "q_star", "es95", "stop_loss", "take_profit_1", "take_profit_2", "lots",
         "alpha_id", "regime"]  # fmt: skip
NASTY = ["momentum_v3", "symbol", "signals", 'a"b', "back\\slash", "Über", "漢字", "x\ny", "{}", '","symbol":"', "",
         "a b", "null", '"symbol"', "symbol\x00"]  # fmt: skip
LOTS = {name: (Decimal("0.1"), Decimal(100)) for name in ("US100.e", "US30.e", "US500.e")} | {
    "XAUUSD": (Decimal("0.01"), Decimal(50)), "EURUSD": (Decimal("0.01"), Decimal(100)),
    "GBPUSD": (Decimal("0.01"), Decimal(100)),
}  # fmt: skip
"""Step (and minimum) and maximum, as the broker's terms in the symbol table give them."""


def situation(chance: random.Random, world: World) -> None:
    """Write a random state: mostly working, partly broken, with hostile words and numbers."""
    world.redis.flushall()
    world.wall.ms = NOON_MS + chance.randrange(0, 1000)
    world.alive(*SYMBOLS)
    for symbol in SYMBOLS:
        kind = chance.random()
        if kind < 0.15:
            continue
        price = PRICES[symbol] * (1 + chance.uniform(-1e-4, 1e-4))
        step = price * 10 ** chance.uniform(-7, -1)
        up = chance.choice((1, -1))
        made = signal_for(
            symbol,
            world.wall.ms,
            action="BUY" if up > 0 else "SELL",
            strategy=chance.choice(NASTY),
            regime=chance.choice(NASTY),
            reasons=tuple(chance.choices(NASTY, k=3)),
            entry=price,
            stop_loss=price - up * step,
            take_profit_1=price + up * step * chance.choice((1, 2, -1)),
            take_profit_2=price + up * step * 3,
            confidence=chance.random(),
            quality=chance.uniform(0, 10),
            atr=step * chance.random(),
            expires_ms=world.wall.ms + chance.choice((-1, 1, 3000)),
            values={chance.choice(NASTY): 10 ** chance.uniform(-300, 300) * chance.choice((1, -1)) for _ in range(5)},
        )
        world.redis.set(f"{{0}}:signal:{symbol}", msgspec.json.encode(made))


SITUATIONS = 20
"""Of one seed."""


@pytest.mark.parametrize("seed", range(15))
async def test_the_expert_advisor_reads_what_was_meant(world: World, api: Api, seed: int) -> None:
    await read_situations(world, api, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1_000, 1_500))
async def test_the_expert_advisor_reads_what_was_meant_ten_thousand_times(world: World, api: Api, seed: int) -> None:
    await read_situations(world, api, seed)


async def read_situations(world: World, api: Api, seed: int) -> None:
    """Go through SITUATIONS states, as the seed draws them."""
    chance = random.Random(seed)
    served = 0
    for _ in range(SITUATIONS):
        situation(chance, world)
        await api[1].publisher.publish()
        limit, equity = chance.choice((None, 1, 2, 6)), round(10 ** chance.uniform(1, 7), 2)
        query = f"equity={equity:.2f}" + ("" if limit is None else f"&limit={limit}")
        reply = await api[0].get(f"/api/signals?{query}")
        served += check(reply, limit or 1)
    assert served > 5


def check(reply: httpx.Response, limit: int) -> int:
    """Hold one reply against the demands; return how many signals it served."""
    assert reply.status_code == 200
    assert reply.content.isascii()
    text = reply.text
    content = json.loads(text)
    assert text.startswith('{"signals":[')
    assert not re.search(r"\s", re.sub(r'"[^"]*"', "", text))
    signals = content["signals"]
    assert content["count"] == len(signals) <= limit
    after = text[text.index('"signals":[') + 11 :]
    assert after.count('"symbol"') == len(signals)
    orders = ea_client.read(reply.content)
    assert len(orders) == len(signals)
    for order, signal in zip(orders, signals, strict=True):
        assert list(signal)[: len(ORDER)] == ORDER
        assert list(signal)[-1] == "features"
        assert None not in signal.values()
        assert {name: getattr(order, name) for name in ORDER} == {name: signal[name] for name in ORDER}
        check_order(order, signal["entry"])
    return len(signals)


def check_order(order: ea_client.Order, entry: float) -> None:
    step, most = LOTS[order.symbol]
    lots = Decimal(repr(order.lots))
    assert step <= lots <= most
    assert lots % step == 0
    assert order.action in ("BUY", "SELL")
    assert 0 <= order.confidence <= 1
    assert 0 <= order.q_star <= 10
    assert order.es95 >= 0
    up = 1 if order.action == "BUY" else -1
    assert (entry - order.stop_loss) * up >= 0
    assert (order.take_profit_1 - entry) * up >= 0
    assert (order.take_profit_2 - order.take_profit_1) * up >= 0
    assert order.alpha_id != "symbol"


async def test_a_fill_silences_its_signal_at_once_and_for_good(world: World, api: Api) -> None:
    """The client executes what it is served again: after its report nothing may come, not even after a close."""
    world.alive("NAS100")
    world.signal("NAS100", expires_ms=NOON_MS + 10_000)
    order = ea_client.read((await api[0].get("/api/signals?equity=100000")).content)[0]
    fill = {
        "trade_id": "1", "symbol": order.symbol, "action": order.action, "entry_price": 15005.0, "lots": order.lots,
        "stop_loss": order.stop_loss, "take_profit": order.take_profit_1, "timestamp": "2025.11.03 14:02",
        "alpha_id": order.alpha_id, "regime": order.regime, "q_star": order.q_star,
    }  # fmt: skip
    assert (await api[0].post("/api/executions", json=fill)).status_code == 200
    reply = await api[0].get("/api/signals?equity=100000")
    assert ea_client.read(reply.content) == []
    close = {"trade_id": "1", "exit_price": 15006.0, "exit_reason": "MANUAL", "pnl": 0.1}
    assert (await api[0].post("/api/executions/close", json=close)).status_code == 200
    reply = await api[0].get("/api/signals?equity=100000")
    assert [w["reason"] for w in reply.json()["withheld"] if w["instrument"] == "NAS100"] == ["executed"]
