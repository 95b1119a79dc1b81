"""Hundreds of situations, read and traded as the expert advisor does it: whatever comes, no wrong order."""

import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

import httpx
import msgspec
import pytest

from api.context import Context
from api.plain_text import plain
from common.messages import Signal
from tests.api import ea_client
from tests.api.ea_trader import MOST_POSITIONS, ExpertAdvisor, Fate, Placed, handled
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
GENERIC = {"US100.e": "NAS100", "US30.e": "US30", "US500.e": "US500"} | {n: n for n in ("XAUUSD", "EURUSD", "GBPUSD")}
MARKET = {broker: PRICES[name] for broker, name in GENERIC.items()}
DIGITS = {name: 5 if name in ("EURUSD", "GBPUSD") else 2 for name in SYMBOLS}


def situation(chance: random.Random, world: World) -> dict[str, Signal]:
    """Write a random state: mostly working, partly broken, with hostile words and numbers; return its signals."""
    world.redis.flushall()
    world.alive(*SYMBOLS)
    signals = {}
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
            confidence=chance.choice((chance.random(), 0.71)),
            quality=chance.uniform(0, 10),
            atr=step * chance.random(),
            expires_ms=world.wall.ms + chance.choice((-1, 1, 800, 3_000, 3_000)),
            values={chance.choice(NASTY): 10 ** chance.uniform(-300, 300) * chance.choice((1, -1)) for _ in range(5)},
        )
        world.redis.hset("{0}:newest_signals", symbol, msgspec.json.encode(made))
        signals[symbol] = made
    return signals


SITUATIONS = 20
"""Of one seed."""
APART_MS = 120_000  # a minute of time for each, so that no limit on reports a minute is met


@pytest.mark.parametrize("seed", range(15))
async def test_the_expert_advisor_reads_and_trades_what_was_meant(world: World, api: Api, seed: int) -> None:
    await go_through(world, api, seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1_000, 1_500))
async def test_the_expert_advisor_trades_what_was_meant_ten_thousand_times(world: World, api: Api, seed: int) -> None:
    await go_through(world, api, seed)


async def go_through(world: World, api: Api, seed: int) -> None:
    """Go through SITUATIONS states, as the seed draws them: each is read once, then traded for some seconds."""
    chance = random.Random(seed)
    served, tally = 0, Tally()
    for number in range(SITUATIONS):
        world.wall.ms = NOON_MS + number * APART_MS + chance.randrange(1_000)
        signals = situation(chance, world)
        await api[1].publisher.publish()
        limit, equity = chance.choice((None, 1, 2, 6)), round(10 ** chance.uniform(1, 7), 2)
        query = f"equity={equity:.2f}" + ("" if limit is None else f"&limit={limit}")
        reply = await api[0].get(f"/api/signals?{query}")
        served += check(reply, limit or 1)
        await trade(world, api, chance, signals, equity, tally)
    assert served > 5
    assert tally.orders


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


@dataclass
class Tally:
    """What the advisor did, by the id of the signal beneath: which it doesn't know, and the test does."""

    orders: Counter[str] = field(default_factory=Counter)
    reported: set[str] = field(default_factory=set)
    """Signals of which a report arrived."""
    trades: int = 0


POLLS = 5
FATES: tuple[tuple[Fate, ...], ...] = (
    ("arrives",), ("request_lost",), ("timeout",), ("arrives", "reply_lost", "request_lost"), ("reply_lost",),
)  # fmt: skip


async def trade(
    world: World, api: Api, chance: random.Random, signals: dict[str, Signal], equity: float, tally: Tally
) -> None:
    """Have the advisor trade a situation for some seconds, over a wire that loses reports, and end its trades."""
    fates = chance.choice(FATES)
    advisor = advisor_on(world, api, lambda: chance.choice(fates), first_trade=tally.trades + 1)
    for _ in range(POLLS):
        asked_ms = world.wall.ms
        for placed in await advisor.poll(equity):
            note(placed, signals, asked_ms, tally)
            if placed.trade_id in advisor.known_to_server:
                tally.reported.add(signals[GENERIC[placed.order.symbol]].id)
        world.wall.ms += 1_000
        world.alive(*SYMBOLS)
    tally.trades += len(advisor.placed)
    advisor.fate = lambda: "arrives"
    assert await advisor.shut_down()
    for trade_id in advisor.known_to_server:
        close = {"trade_id": trade_id, "exit_price": 1.0, "exit_reason": "TP1", "pnl": 1.0}
        assert (await api[0].post("/api/executions/close", json=close)).status_code == 200


def advisor_on(
    world: World, api: Api, fate: Callable[[], Fate], first_trade: int = 1, most_positions: int = MOST_POSITIONS
) -> ExpertAdvisor:
    def wait(lasting_ms: int) -> None:
        world.wall.ms += lasting_ms

    return ExpertAdvisor(api[0], LOTS, MARKET, fate, wait, most_positions, first_trade=first_trade)


def note(placed: Placed, signals: dict[str, Signal], asked_ms: int, tally: Tally) -> None:
    """Hold one order against the signal that its poll was to show, and count it."""
    order, name = placed.order, GENERIC[placed.order.symbol]
    signal = signals[name]
    meant = [round(p, DIGITS[name]) for p in (signal.stop_loss, signal.take_profit_1, signal.take_profit_2)]
    assert [order.stop_loss, order.take_profit_1, order.take_profit_2] == meant
    assert (order.action, order.alpha_id, order.regime) == (
        signal.action,
        plain(signal.strategy),
        plain(signal.regime),
    )
    assert asked_ms < signal.expires_ms
    assert signal.id not in tally.reported
    assert not placed.moved
    check_order(order, round(signal.entry, DIGITS[name]))
    tally.orders[signal.id] += 1
    assert tally.orders[signal.id] <= math.ceil((signal.expires_ms - signal.published_ms) / 1_000)


LOST: tuple[tuple[Fate, int], ...] = (("request_lost", 3), ("timeout", 1))
"""What becomes of all reports, and how many orders one signal of 3 s then leads to."""


@pytest.mark.parametrize("phase_ms", [0, 1, 500, 999])
@pytest.mark.parametrize(("fate", "orders"), LOST)
async def test_lost_reports_cost_as_many_orders_as_there_are_polls_before_the_expiry(
    world: World, api: Api, phase_ms: int, fate: Fate, orders: int
) -> None:
    assert await orders_of_one_signal(world, api, fate, phase_ms, 3_000) == orders


@pytest.mark.parametrize(("expiry_ms", "orders"), [(500, 1), (1_000, 1), (1_001, 2), (2_000, 2), (10_000, 10)])
async def test_the_expiry_bounds_what_lost_reports_cost(world: World, api: Api, expiry_ms: int, orders: int) -> None:
    """By hand: polls at 0, 1, 2, ... s; those before the expiry are served. Without its own limit of positions."""
    assert await orders_of_one_signal(world, api, "request_lost", 0, expiry_ms, most_positions=100) == orders


@pytest.mark.parametrize("fate", ["arrives", "reply_lost"])
async def test_a_report_that_arrives_leaves_one_order_though_its_client_never_learns_of_it(
    world: World, api: Api, fate: Fate
) -> None:
    assert await orders_of_one_signal(world, api, fate, 0, 10_000, most_positions=100) == 1
    assert (await api[0].get("/api/positions")).json()["count"] == 1


async def orders_of_one_signal(
    world: World, api: Api, fate: Fate, phase_ms: int, expiry_ms: int, most_positions: int = MOST_POSITIONS
) -> int:
    """Return how often the advisor executes one signal, where each of its POSTs meets this fate."""
    world.alive("NAS100")
    world.signal("NAS100", expires_ms=NOON_MS + expiry_ms)
    advisor = advisor_on(world, api, lambda: fate, most_positions=most_positions)
    world.wall.ms += phase_ms
    for _ in range(15):
        await advisor.poll(100_000.0)
        world.wall.ms += 1_000
        world.alive("NAS100")
    return len(advisor.placed)


def test_of_several_signals_the_advisor_takes_the_first_twice_and_never_the_last() -> None:
    """Why one signal a reply is the default: this is what `limit=3` would do to it."""
    reply = "".join(
        f'{{"symbol":"{name}","action":"BUY","confidence":0.7,"q_star":1,"es95":1,"stop_loss":1,"take_profit_1":2,'
        '"take_profit_2":3,"lots":0.1,"alpha_id":"a","regime":"r"}'
        for name in "ABC"
    )
    orders = ea_client.read(f'{{"signals":[{reply}]}}'.encode())
    assert [order.symbol for order in handled(orders)] == ["A", "A", "B"]


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
