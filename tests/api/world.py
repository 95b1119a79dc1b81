"""A pipeline's state, written into Redis by hand as its stages would, and the api over it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import msgspec
import redis

from api.app import create_app
from api.context import Context, make_context
from common import keys
from common.features import FeatureSet, FormingSet, decode_features, encode_features
from common.heads import FormingHead, LaneHead, decode_head, encode_head
from common.messages import Clock, Signal, encode
from common.settings import Settings
from common.sources import SymbolStatus, encode_report

# Wednesday, 2026-06-17 14:00:00 UTC: every session is open.
NOON_MS = 1_781_704_800_000
SYMBOLS = ("NAS100", "XAUUSD", "EURUSD", "GBPUSD", "US30", "US500")
PRICES = {"NAS100": 15005.0, "XAUUSD": 2350.5, "EURUSD": 1.08765, "GBPUSD": 1.27, "US30": 39000.0, "US500": 5300.0}

CLASSES = {
    "NAS100": "cme_nq_future",
    "XAUUSD": "comex_gold_future",
    "US30": "cbot_ym_future",
    "US500": "cme_es_future",
}


@dataclass
class Wall:
    """Real time, as the test sets it."""

    ms: int = NOON_MS

    def __call__(self) -> int:
        return self.ms


@dataclass
class World:
    """One partition's worth of state."""

    redis: "redis.Redis"
    settings: Settings
    wall: Wall = field(default_factory=Wall)

    def clock(self, now_ms: int | None = None, wall_ms: int | None = None, speed: float = 1.0) -> None:
        """Publish a cycle."""
        wall = self.wall.ms if wall_ms is None else wall_ms
        self.redis.set(keys.clock(0), encode(Clock(1, self.wall.ms if now_ms is None else now_ms, wall, speed)))

    def engine(self, clock_ms: int | None = None, wall_ms: int | None = None) -> None:
        """Confirm a pass of the engine."""
        fields = {
            "clock_ms": self.wall.ms if clock_ms is None else clock_ms,
            "wall_ms": self.wall.ms if wall_ms is None else wall_ms,
            "cycle": 1,
        }
        self.hash(keys.feature_pass(0), fields)

    def hash(self, key: str, fields: Mapping[str, str | int]) -> None:
        """Write a hash."""
        self.redis.execute_command("HSET", key, *(part for pair in fields.items() for part in pair))  # type: ignore[no-untyped-call]

    def lane(self, symbol: str, timeframe: str = "1s", age_ms: int = 200, delay_ms: int = 0, **changes: object) -> None:
        """Write the current values of a lane, with a forming bar."""
        price, market_ms = PRICES.get(symbol, 100.0), self.wall.ms - age_ms
        forming = FormingSet(market_ms - market_ms % 1000, price, price, price, price, 0.0, 1, {"rsi_14": 51.0})
        features = FeatureSet(
            symbol=symbol,
            timeframe=timeframe,
            source="yahoo",
            source_class=CLASSES.get(symbol, "fx_spot"),
            delay_ms=delay_ms,
            bar_open_ms=market_ms - market_ms % 1000 - 1000,
            market_ms=market_ms,
            clock_ms=self.wall.ms,
            volume_kind="none",
            bars_seen=500,
            ready=True,
            values={"rsi_14": 52.5, "ema_20": price},
            not_ready={"obv": "no volume"},
            forming=forming,
        )
        body = encode_features(msgspec.structs.replace(features, **changes))
        self.redis.set(keys.feature_values(0, symbol, timeframe), body)
        if timeframe == "1s":
            self.redis.hset(keys.lane_heads(0), symbol, encode_head(head_in(body)))

    def head(self, symbol: str) -> LaneHead:
        """Return the head of a symbol's shortest lane."""
        record = self.redis.hget(keys.lane_heads(0), symbol) or b""
        assert isinstance(record, bytes)
        return decode_head(record) or LaneHead()

    def score(self, symbol: str, score: float) -> None:
        """Have the newest quote of a symbol be of this quality."""
        head = self.head(symbol)
        self.redis.hset(keys.lane_heads(0), symbol, encode_head(msgspec.structs.replace(head, score=score)))

    def status(self, symbol: str, status: str = "ok", detail: str = "", source_class: str = "") -> None:
        """Write the collector's word on a symbol; without a class, its own one feeds it."""
        own = CLASSES.get(symbol, "fx_spot")
        value = encode_report(SymbolStatus(status, "yahoo", source_class or own, detail, self.wall.ms))  # type: ignore[arg-type]
        self.redis.hset(keys.symbol_status(0), symbol, value)

    def signal(self, symbol: str, **changes: object) -> Signal:
        """Publish a signal for a symbol."""
        made = signal_for(symbol, self.wall.ms, **changes)
        self.redis.hset(keys.newest_signals(0), symbol, encode(made))
        return made

    def publish(self, symbol: str, **changes: object) -> tuple[str, Signal]:
        """Publish a signal as the engine does, in its stream too, and return its entry id."""
        made = signal_for(symbol, self.wall.ms, **changes)
        pipeline = self.redis.pipeline(transaction=True)
        pipeline.hset(keys.newest_signals(0), symbol, encode(made))
        pipeline.xadd(keys.SIGNALS.key(0), {keys.FIELD: encode(made)})
        entry_id: bytes = pipeline.execute()[1]
        return entry_id.decode(), made

    def alive(self, *symbols: str) -> None:
        """Write everything that a working pipeline would have written for these symbols."""
        self.clock()
        self.engine()
        for symbol in symbols:
            self.lane(symbol)
            self.status(symbol)


def head_in(body: bytes) -> LaneHead:
    """Return the head of a lane, as the engine writes it beside these values."""
    found = decode_features(body)
    bar, warming = found.forming, bool(found.warming)
    forming = None if bar is None else FormingHead(bar.open_ms, bar.high, bar.low, bar.close)
    price = None if bar is None else bar.close
    return LaneHead(found.market_ms, found.source, found.source_class, found.delay_ms, warming, forming, price)


def signal_for(symbol: str, at_ms: int, **changes: object) -> Signal:
    """Return a signal to buy, published now, with a stop 10 basis points away."""
    price = PRICES.get(symbol, 100.0)
    step = round(price * 0.001, 5)
    signal = Signal(
        id=f"{symbol}|1m|momentum_v3|{at_ms - 60_000}",
        symbol=symbol,
        timeframe="1m",
        strategy="momentum_v3",
        bar_open_ms=at_ms - 60_000,
        action="BUY",
        entry=price,
        stop_loss=price - step,
        take_profit_1=price + 2 * step,
        take_profit_2=price + 3 * step,
        confidence=0.71,
        quality=7.5,
        regime="trend",
        reasons=("ema_cross", "adx_strong"),
        published_ms=at_ms,
        expires_ms=at_ms + 3_000,
        data_age_ms=200,
        atr=step,
        source="yahoo",
        source_class=CLASSES.get(symbol, "fx_spot"),
        values={"rsi_14": 55.25, "tiny": 1.5e-9},
    )
    return msgspec.structs.replace(signal, **changes)


def settings_for(port: int, folder: Path, **changes: object) -> Settings:
    """Return settings over the test's Redis, with nothing from the environment or a file."""
    values: Mapping[str, object] = {
        "symbols": SYMBOLS,
        "redis_host": "127.0.0.1",
        "redis_port": port,
        "state_dir": folder / "state",
        "database_path": folder / "history.db",
        "limits": "none",
        **changes,
    }
    return Settings(_env_file=None, **values)  # type: ignore[arg-type,call-arg]


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[tuple[httpx.AsyncClient, Context]]:
    """Yield a client of the app in this process, with all that runs beside it."""
    context = make_context(world.settings, world.wall, look_around_s=0.0)
    app = create_app(context)
    async with app.router.lifespan_context(app):
        await context.publisher.publish()
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            yield client, context
