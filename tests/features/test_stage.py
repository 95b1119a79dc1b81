"""The stage: closing bars by the stream's clock, what it writes, and what it refuses."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from common import keys
from common.bars import to_bars
from common.errors import Fatal
from common.features import decode_features
from common.heads import FormingHead, LaneHead, decode_head
from common.indicators.plan_file import BUILTIN
from common.keys import BARS, FIELD, QUOTES
from common.messages import Bars, Clock, Quotes, decode, encode
from common.metrics import Metrics
from common.partition_loop import PartitionLoop
from common.redis_link import open_link
from common.settings import Settings
from common.symbols import load_symbols
from features.stage import make_spec
from tests.conftest import RedisServer
from tests.features.support import MONDAY_MS, Entries, Store, clock, handler, quote

NOW_MS = MONDAY_MS + 3_600_000


def closed(store: Store, stage: object, *messages: Quotes | Clock) -> list[tuple[str, str, int]]:
    """Handle messages in one batch; return symbol, timeframe and offset of the final bars, in order."""
    outcome = store.commit(stage.handle(Entries().of(*messages)))  # type: ignore[attr-defined]
    found = [p.message for p in outcome.publish if isinstance(p.message, Bars)]
    return [(b.symbol, b.timeframe, b.open_ms - NOW_MS) for message in found for b in message.bars]


def test_a_bar_closes_when_the_clock_less_the_lateness_passes_its_end() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))
    tick = Quotes((quote("EURUSD", NOW_MS + 5_000, 1.1),))

    assert closed(store, stage, clock(NOW_MS), tick, clock(NOW_MS + 61_999)) == []
    assert closed(store, stage, clock(NOW_MS + 62_000)) == [("EURUSD", "1m", 0)]
    assert closed(store, stage, clock(NOW_MS + 63_000)) == []


def test_a_delayed_class_closes_its_bars_so_much_later() -> None:
    store = Store()
    stage = handler(store, ("NAS100",), timeframes=("1m",), limits="real")  # 600 s by the symbol table
    tick = Quotes((quote("NAS100", NOW_MS + 5_000, 15_000.0),))

    assert closed(store, stage, clock(NOW_MS + 600_000), tick, clock(NOW_MS + 661_999)) == []
    assert closed(store, stage, clock(NOW_MS + 662_000)) == [("NAS100", "1m", 0)]


def test_bars_that_close_together_come_in_the_symbol_tables_order_then_by_end_then_timeframe() -> None:
    store = Store()
    stage = handler(store, ("NAS100", "EURUSD"), timeframes=("1s", "1m"))
    ticks = [quote(s, NOW_MS + at, 1.0) for at in (59_000, 58_000, 61_000) for s in ("EURUSD", "NAS100")]

    assert closed(store, stage, clock(NOW_MS), Quotes(tuple(ticks)), clock(NOW_MS + 70_000)) == [
        ("NAS100", "1s", 58_000),
        ("NAS100", "1s", 59_000),
        ("NAS100", "1m", 0),
        ("NAS100", "1s", 61_000),
        ("EURUSD", "1s", 58_000),
        ("EURUSD", "1s", 59_000),
        ("EURUSD", "1m", 0),
        ("EURUSD", "1s", 61_000),
    ]


def test_a_quote_after_its_bar_closed_changes_no_final_bar_and_is_counted() -> None:
    store = Store()
    stage = handler(store, timeframes=("1s", "1m"))
    tick = Quotes((quote("EURUSD", NOW_MS + 5_000, 1.1),))
    closed(store, stage, clock(NOW_MS), tick, clock(NOW_MS + 8_000))

    late = Quotes((quote("EURUSD", NOW_MS + 5_500, 9.9),))
    assert closed(store, stage, late, clock(NOW_MS + 62_000)) == [("EURUSD", "1m", 0)]

    second = to_bars(store.keys[keys.bar_cache(0, "EURUSD", "1s")], "EURUSD", "1s", "fx_spot")
    minute = to_bars(store.keys[keys.bar_cache(0, "EURUSD", "1m")], "EURUSD", "1m", "fx_spot")
    assert [(b.high, b.ticks) for b in second] == [(1.1, 1)]
    assert [(b.high, b.ticks) for b in minute] == [(9.9, 2)]  # its minute was still open
    counters = {s.name: s.value for s in stage._metrics.snapshot().counters}
    assert counters["md_late_for_bars_total"] == 1


def test_a_late_quote_opens_no_bar_where_none_was() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))

    late = Quotes((quote("EURUSD", NOW_MS - 30_000, 1.1),))
    assert closed(store, stage, clock(NOW_MS + 2_000), late, clock(NOW_MS + 3_000)) == []


def test_a_final_bar_stays_final_when_the_clock_goes_back() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))
    ticks = [Quotes((quote("EURUSD", NOW_MS + 5_000, price),)) for price in (1.1, 9.9)]
    assert closed(store, stage, clock(NOW_MS), ticks[0], clock(NOW_MS + 62_000)) == [("EURUSD", "1m", 0)]

    assert closed(store, stage, clock(NOW_MS + 10_000), ticks[1], clock(NOW_MS + 63_000)) == []
    assert len(store.keys[keys.bar_cache(0, "EURUSD", "1m")]) == 1


def test_without_a_quote_there_is_no_bar() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))
    ticks = [Quotes((quote("EURUSD", NOW_MS + at, 1.1),)) for at in (0, 180_000)]

    assert closed(store, stage, clock(NOW_MS), *ticks, clock(NOW_MS + 400_000)) == [
        ("EURUSD", "1m", 0),
        ("EURUSD", "1m", 180_000),
    ]


def test_quotes_of_another_class_stay_out_of_the_series() -> None:
    store = Store()
    stage = handler(store, ("NAS100",), timeframes=("1m",))
    cash = Quotes((quote("NAS100", NOW_MS, 15_000.0, source_class="ndx_cash"),))

    assert closed(store, stage, clock(NOW_MS), cash, clock(NOW_MS + 90_000)) == []


def test_current_values_show_the_open_bar_as_if_it_closed_now() -> None:
    store = Store()
    stage = handler(store, timeframes=("1m",))
    ticks = [Quotes((quote("EURUSD", NOW_MS + n * 60_000, 1.0 + n / 100),)) for n in range(13)]
    closed(store, stage, clock(NOW_MS), *ticks, clock(NOW_MS + 720_000))

    found = decode_features(store.keys[keys.feature_values(0, "EURUSD", "1m")])
    # Closes 1.00 to 1.10 are final, 1.11 and 1.12 still open. MOM(10) = close less the close ten bars before.
    assert found.bar_open_ms == NOW_MS + 600_000
    assert found.values["momentum"] == 1.10 - 1.00
    assert found.forming is not None
    assert (found.forming.open_ms, found.forming.close) == (NOW_MS + 720_000, 1.12)
    assert found.forming.values["momentum"] == 1.12 - 1.02
    assert found.market_ms == NOW_MS + 720_000
    assert found.delay_ms == 0


def test_the_head_of_a_symbol_is_the_newest_price_also_between_bars() -> None:
    store = Store()
    stage = handler(store, timeframes=("1s", "1m"))
    newest = msgspec.structs.replace(quote("EURUSD", NOW_MS + 100, 1.1), score=0.65)
    closed(store, stage, clock(NOW_MS), Quotes((newest, quote("EURUSD", NOW_MS + 50, 1.1))))
    open_bar = FormingHead(NOW_MS, 1.1, 1.1, 1.1)
    assert head(store) == LaneHead(NOW_MS + 100, "", "fx_spot", forming=open_bar, price=1.1, score=0.65)

    closed(store, stage, clock(NOW_MS + 4_000))
    assert head(store) == LaneHead(NOW_MS + 100, "yahoo", "fx_spot", price=1.1, score=0.65)

    del store.keys[keys.lane_heads(0)]
    closed(store, handler(store, timeframes=("1s", "1m")), clock(NOW_MS + 5_000))
    assert head(store) == LaneHead(NOW_MS + 100, "yahoo", "fx_spot", price=1.1, score=0.65)


def head(store: Store) -> LaneHead | None:
    return decode_head(store.keys[keys.lane_heads(0)][b"EURUSD"])


def test_the_pass_is_confirmed_with_every_clock_entry() -> None:
    store = Store()
    closed(store, handler(store), Clock(cycle=7, now_ms=NOW_MS, wall_ms=NOW_MS + 5))

    expected = {b"clock_ms": b"%d" % NOW_MS, b"wall_ms": b"%d" % (NOW_MS + 5), b"cycle": b"7"}
    assert store.keys[keys.feature_pass(0)] == expected


def test_only_lanes_with_news_are_written() -> None:
    store = Store()
    stage = handler(store, ("NAS100", "EURUSD"), timeframes=("1m",))
    closed(store, stage, clock(NOW_MS))

    outcome = stage.handle(Entries().of(Quotes((quote("EURUSD", NOW_MS + 1_000, 1.1),))))

    written = {str(part) for command in outcome.writes for part in command if not isinstance(part, bytes)}
    assert keys.feature_values(0, "EURUSD", "1m") in written
    assert "symbol:EURUSD" in written
    assert not any("NAS100" in part for part in written)
    assert list(stage.handle(Entries().of(Quotes(()))).writes) == []


def test_another_class_in_the_symbol_table_starts_the_symbol_anew(tmp_path: Path) -> None:
    store = Store()
    tick = Quotes((quote("EURUSD", NOW_MS, 1.1),))
    closed(store, handler(store), clock(NOW_MS), tick, clock(NOW_MS + 90_000))
    state = keys.state(0, "features")
    body = msgspec.json.decode(store.keys[state][b"symbol:EURUSD"])
    store.keys[state][b"symbol:EURUSD"] = msgspec.json.encode(body | {"series": "fx_broker"})

    handler(store)

    assert not [key for key in store.keys if "cache" in key]
    assert set(store.keys[state]) == {b"clock", b"place"}


def test_a_state_that_this_stage_did_not_write_is_fatal() -> None:
    store = Store()
    store.hset(keys.state(0, "features"), "symbol:EURUSD", "[]")

    with pytest.raises(Fatal, match=r"\{0\}:state:features: expected what this stage wrote"):
        handler(store)


def test_a_cache_too_short_for_the_plan_is_a_configuration_error() -> None:
    given = Settings(_env_file=None, max_bars_cache=994)  # type: ignore[call-arg]

    # SMA(200) looks back 199 bars; 5 times that is 995.
    line = BUILTIN.read_text().splitlines().index('sma_200 = { function = "SMA", timeperiod = 200 }') + 1
    told = f"995 (5 times its lookback, or more, for sma_200: {BUILTIN}, line {line}), found 994"
    with pytest.raises(Fatal, match=re.escape(f"MAX_BARS_CACHE: expected at least {told}")):
        make_spec(given, Metrics("features"))


def test_the_stage_works_through_the_loop_and_a_real_redis(
    redis_server: RedisServer, redis_client: "redis.Redis", tmp_path: Path
) -> None:
    given = Settings(
        _env_file=None, symbols=("EURUSD",), redis_host=redis_server.host, redis_port=redis_server.port, limits="none"
    )  # type: ignore[call-arg]
    load_symbols(given.symbols)
    metrics = Metrics("features")

    def loop() -> PartitionLoop:
        made = PartitionLoop(make_spec(given, metrics), 0, open_link(given), "features", metrics, tmp_path)
        made.open()
        return made

    def work(running: PartitionLoop, *messages: Quotes | Clock) -> None:
        for message in messages:
            redis_client.xadd(QUOTES.key(0), {FIELD: encode(message)})
        for _ in range(4):  # one for what was pending, one for the news, and some that find nothing
            running.step(10)

    work(loop(), clock(NOW_MS), Quotes((quote("EURUSD", NOW_MS + 1_000, 1.1), quote("EURUSD", NOW_MS + 2_000, 1.2))))
    work(loop(), *(clock(NOW_MS + s * 1000, s) for s in (20, 40, 62)))  # another process, from what the first committed

    read: Any = redis_client.xrange(BARS.key(0))
    messages = [decode(fields[FIELD]) for _, fields in read]
    (minute,) = [b for m in messages if isinstance(m, Bars) for b in m.bars if b.timeframe == "1m"]
    assert (minute.open, minute.high, minute.close, minute.ticks, minute.complete) == (1.1, 1.2, 1.2, 2, True)
    assert redis_client.llen(keys.bar_cache(0, "EURUSD", "1s")) == 2
    assert redis_client.hget(keys.feature_pass(0), "cycle") == b"62"
