"""What the stages leave in Redis for the api to read, and what clients reported: made up, for any number of symbols."""

import http.client
import json
import time
from collections.abc import Sequence

from common import keys
from common.features import FeatureSet, FormingSet, encode_features
from common.heads import FormingHead, LaneHead, encode_head
from common.indicators import load_plan
from common.messages import Clock, Signal, encode
from common.redis_link import Command, Link
from common.sources import SymbolStatus, encode_report
from common.symbols import Symbol, SymbolTable

STREAM_MS = 1_781_101_800_000  # a Wednesday afternoon: every session is open
FAR_MS = 3_600_000
PRICE = 1.1
POSITIONS = 3


class Stages:
    """Writes as collector and engine do.

    Every `one_in`th symbol has a signal that has not expired, the next one a signal that has; older ones are gone.
    """

    def __init__(self, link: Link, table: SymbolTable, one_in: int) -> None:
        self._link, self._symbols, self._cycle = link, tuple(table.symbols.values()), 0
        self._names = tuple(load_plan(None).program(self._symbols[0].name, "1m").names)
        self._one_in = one_in

    def begin(self) -> None:
        """Write what changes seldom: the last signals, the indicators."""
        now_ms = STREAM_MS
        commands: list[Command] = []
        for number, symbol in enumerate(self._symbols):
            if number % self._one_in <= 1:
                expires_ms = now_ms + (FAR_MS if number % self._one_in == 0 else -30_000)
                signal = _signal(symbol, self._names, now_ms - 61_000, expires_ms)
                commands.append(("HSET", keys.newest_signals(0), symbol.name, encode(signal)))
            commands.append(("SET", keys.feature_values(0, symbol.name, "1s"), self._lane(symbol, now_ms, PRICE)))
        self._link.exchange(commands)
        self.cycle()

    def cycle(self) -> None:
        """Write a cycle of one millisecond: a new price of each symbol, the collector's word on it, clock and pass."""
        self._cycle += 1
        now_ms, wall_ms = STREAM_MS + self._cycle, int(time.time() * 1000)
        head = encode_head(_head(now_ms, PRICE + self._cycle % 10 / 100_000))
        status = encode_report(SymbolStatus("ok", "yahoo", "fx_spot", "", now_ms))
        clock = encode(Clock(self._cycle, now_ms, wall_ms))
        commands: list[Command] = [
            ("HSET", keys.lane_heads(0), *(part for symbol in self._symbols for part in (symbol.name, head))),
            ("HSET", keys.symbol_status(0), *(part for symbol in self._symbols for part in (symbol.name, status))),
            ("HSET", keys.feature_pass(0), "clock_ms", now_ms, "wall_ms", wall_ms, "cycle", self._cycle),
            ("SET", keys.clock(0), clock),
        ]
        self._link.exchange(commands)

    def _lane(self, symbol: Symbol, now_ms: int, price: float) -> bytes:
        values: dict[str, float | None] = dict.fromkeys(self._names, price)
        open_ms = now_ms // 1000 * 1000
        found = FeatureSet(
            symbol=symbol.name, timeframe="1s", source="yahoo", source_class="fx_spot", delay_ms=0,
            bar_open_ms=open_ms - 1000, market_ms=now_ms, clock_ms=now_ms, volume_kind="ticks", bars_seen=5_500,
            ready=True, values=values, not_ready={},
            forming=FormingSet(open_ms, price, price, price, price, 1.0, 1, values),
        )  # fmt: skip
        return encode_features(found)


def _head(now_ms: int, price: float) -> LaneHead:
    forming = FormingHead(now_ms // 1000 * 1000, price, price, price)
    return LaneHead(now_ms, "yahoo", "fx_spot", forming=forming, price=price, score=1.0)


def _signal(symbol: Symbol, names: Sequence[str], at_ms: int, expires_ms: int) -> Signal:
    return Signal(
        id=f"{symbol.name}|1m|trend_following|{at_ms}", symbol=symbol.name, timeframe="1m", strategy="trend_following",
        bar_open_ms=at_ms - 60_000, action="BUY", entry=PRICE, stop_loss=PRICE - 0.001, take_profit_1=PRICE + 0.001,
        take_profit_2=PRICE + 0.002, confidence=0.71, quality=7.5, regime="trend_up",
        reasons=("ema_9 1.1 is above ema_20 1.0999", "regime trend_up: ADX 27.1", "stop 1.5 x ATR 0.00067"),
        published_ms=at_ms, expires_ms=expires_ms, data_age_ms=200, atr=0.00067, source="yahoo",
        source_class="fx_spot", values=dict.fromkeys(names, 1.1001234), data_score=1.0, spread=0.0001,
    )  # fmt: skip


def report(port: int, table: SymbolTable) -> None:
    """Report what a bot would have by then: its broker's terms, some fills, a heartbeat."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    symbols = list(table.symbols.values())
    for at in range(0, len(symbols), 100):
        _post(connection, "/api/broker/symbols", {"symbols": [_terms(symbol) for symbol in symbols[at : at + 100]]})
    for number, symbol in enumerate(symbols[1 : 1 + POSITIONS]):
        fill = {
            "trade_id": str(number), "symbol": symbol.broker, "action": "BUY", "entry_price": PRICE, "lots": 0.1,
            "stop_loss": PRICE - 0.01, "take_profit": PRICE + 0.5, "alpha_id": "trend_following",
        }  # fmt: skip
        _post(connection, "/api/executions", fill)
    _post(connection, "/api/heartbeat", {"equity": 100_000.0, "balance": 100_000.0, "positions": POSITIONS})
    connection.close()


def _terms(symbol: Symbol) -> dict[str, object]:
    return {
        "symbol": symbol.broker, "contract_size": 100_000, "lot_min": 0.01, "lot_step": 0.01, "lot_max": 50,
        "tick_size": 0.00001, "digits": 5, "quote_currency": "USD", "tick_value": 0.9, "margin_per_lot": 3_300.0,
    }  # fmt: skip


def _post(connection: http.client.HTTPConnection, path: str, body: dict[str, object]) -> None:
    connection.request("POST", path, json.dumps(body))
    reply = connection.getresponse()
    answer = reply.read()
    if reply.status != http.HTTPStatus.OK:
        raise RuntimeError(f"{path}: {reply.status}: {answer!r}")


def read_one_by_one(table: SymbolTable) -> list[Command]:
    """Return the commands of a reader that asks for everything, one thing after the other."""
    found: list[Command] = [("GET", keys.clock(0))]
    for name in table.symbols:
        found += [("HGET", keys.newest_signals(0), name), ("GET", keys.feature_values(0, name, "1s"))]
    return found
