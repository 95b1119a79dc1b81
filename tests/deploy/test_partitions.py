"""What belongs to which symbol, and what a move leaves where."""

import sqlite3
from pathlib import Path

import pytest

from common import keys
from common.errors import Fatal
from common.keys import BACKFILL, FIELD, RAW, STAGES, TICKS
from common.messages import BackfillRequest, TerminalTick, TerminalTicks, decode, encode
from common.partition_count import claim_partitions
from common.redis_link import Link
from deploy.partitions.__main__ import main
from deploy.partitions.fields import DROPPED, FIRST, SHARED, SYMBOL_OF_FIELD
from deploy.partitions.journals import readdress
from deploy.partitions.move import Move
from tests.conftest import RedisServer
from tests.support import free_port

PLACES = {"EURUSD": 3, "NAS100": 2, "XAUUSD": 0}
NOW_MS = 1_800_000_000_000


@pytest.fixture
def link(redis_server: RedisServer, redis_client: object) -> Link:
    """A connection to the empty Valkey."""
    return redis_server.link()


@pytest.mark.parametrize(
    ("stage", "field", "symbol"),
    [
        ("collector", "cycle", SHARED),
        ("collector", "q:yahoo:EURUSD:fx_spot", "EURUSD"),
        ("collector", "p:yahoo:EURUSD:fx_spot", "EURUSD"),
        ("collector", "series:EURUSD", "EURUSD"),
        ("collector", "terminal:EURUSD", "EURUSD"),
        ("collector", "t:yahoo", FIRST),
        ("collector", "offline_since_ms", FIRST),
        ("collector", "b:17-0", DROPPED),
        ("validator", "clock", SHARED),
        ("validator", "feed|EURUSD|fx_spot|yahoo", "EURUSD"),
        ("validator", "pair|EURUSD|fx_spot|yahoo|polygon", "EURUSD"),
        ("features", "clock", SHARED),
        ("features", "place", SHARED),
        ("features", "symbol:EURUSD", "EURUSD"),
        ("features", "asked:EURUSD|1m", "EURUSD"),
        ("storer", "EURUSD|fx_spot|1m", "EURUSD"),
        ("storer", "series:EURUSD", "EURUSD"),
    ],
)
def test_each_field_of_a_state_belongs_to(stage: str, field: str, symbol: str) -> None:
    assert SYMBOL_OF_FIELD[stage](field) == symbol


def filled(link: Link) -> None:
    """Write what one partition holds: a little of everything."""
    link.exchange([
        ("SET", keys.PARTITION_COUNT, 1),
        ("SET", keys.incarnation(0), "word"),
        ("SET", keys.clock(0), "now"),
        ("HSET", keys.feature_pass(0), "cycle", 7),
        ("HSET", keys.state(0, "collector"), "cycle", 7, "q:yahoo:EURUSD:fx_spot", "e", "q:yahoo:NAS100:x", "n"),
        ("HSET", keys.state(0, "collector"), "t:yahoo", 1),
        ("HSET", keys.symbol_status(0), "EURUSD", "ok", "XAUUSD", "closed"),
        ("HSET", keys.lane_heads(0), "EURUSD", "fresh", "NAS100", "late"),
        ("RPUSH", keys.bar_cache(0, "EURUSD", "1m"), "bar"),
        ("SET", keys.feature_values(0, "NAS100", "5m"), "values"),
        ("HSET", keys.newest_signals(0), "XAUUSD", "old", "EURUSD", "new"),
        ("ZADD", keys.terminal_ticks(0, "EURUSD"), 1, "tick"),
        ("SET", keys.heartbeat("storer", "storer"), "beat"),
        ("XADD", RAW.key(0), "5-0", FIELD, "settled"),
        ("XGROUP", "CREATE", RAW.key(0), "validator", "5-0"),
        ("XGROUP", "CREATE", BACKFILL.key(0), "collector", "0", "MKSTREAM"),
        ("XGROUP", "CREATE", TICKS.key(0), "collector", "0", "MKSTREAM"),
        ("XADD", BACKFILL.key(0), "*", FIELD, encode(BackfillRequest("a", "EURUSD", "1m", "x", 0, 1))),
        ("XADD", BACKFILL.key(0), "*", FIELD, encode(BackfillRequest("b", "XAUUSD", "1m", "x", 0, 1))),
        ("XADD", TICKS.key(0), "*", FIELD, encode(ticks())),
        ("XREADGROUP", "GROUP", "collector", "collector", "COUNT", 1, "STREAMS", BACKFILL.key(0), ">"),
    ])  # fmt: skip


def ticks() -> TerminalTicks:
    both = tuple(TerminalTick(symbol, 1, bid=1.0, ask=1.1) for symbol in ("EURUSD", "NAS100"))
    return TerminalTicks("batch", "1", 5, both, ("EURUSD", "NAS100"))


def moved(link: Link, old: int, new: int) -> None:
    places = {symbol: place % new for symbol, place in PLACES.items()}
    commands = Move(link, old, new, places.__getitem__, NOW_MS).commands()
    replies = link.exchange([("MULTI",), *commands, ("EXEC",)])[-1]
    assert isinstance(replies, list)
    assert not [reply for reply in replies if isinstance(reply, Exception)]


def waiting(link: Link, key: str) -> list[object]:
    found = link.call("XREADGROUP", "GROUP", "collector", "collector", "STREAMS", key, ">")
    return [decode(entry[1][1]) for entry in found[0][1]] if found else []  # type: ignore[index, union-attr, arg-type]


def test_a_move_puts_everything_into_its_symbols_partition(link: Link) -> None:
    filled(link)
    moved(link, 1, 4)

    assert link.call("HGETALL", keys.state(3, "collector")) == [b"cycle", b"7", b"q:yahoo:EURUSD:fx_spot", b"e"]
    assert link.call("HGETALL", keys.state(0, "collector")) == [b"cycle", b"7", b"t:yahoo", b"1"]
    assert link.call("HGETALL", keys.symbol_status(3)) == [b"EURUSD", b"ok"]
    assert link.call("HGETALL", keys.lane_heads(3)) == [b"EURUSD", b"fresh"]
    assert link.call("HGETALL", keys.lane_heads(2)) == [b"NAS100", b"late"]
    assert link.call("EXISTS", keys.bar_cache(3, "EURUSD", "1m"), keys.feature_values(2, "NAS100", "5m")) == 2
    assert link.call("EXISTS", keys.terminal_ticks(3, "EURUSD")) == 1
    assert link.call("HGETALL", keys.newest_signals(3)) == [b"EURUSD", b"new"]
    assert link.call("HGETALL", keys.newest_signals(0)) == [b"XAUUSD", b"old"]
    assert link.call("EXISTS", keys.bar_cache(0, "EURUSD", "1m"), keys.heartbeat("storer", "storer")) == 0
    assert [link.call("GET", keys.incarnation(p)) for p in range(4)] == [b"word"] * 4
    assert link.call("GET", keys.PARTITION_COUNT) == b"4"


def test_what_waited_for_the_collector_waits_in_the_new_partition(link: Link) -> None:
    filled(link)
    moved(link, 1, 4)

    assert [m.symbol for m in waiting(link, BACKFILL.key(3)) if isinstance(m, BackfillRequest)] == ["EURUSD"]
    assert [m.symbol for m in waiting(link, BACKFILL.key(0)) if isinstance(m, BackfillRequest)] == ["XAUUSD"]
    parts = [m for p in (2, 3) for m in waiting(link, TICKS.key(p)) if isinstance(m, TerminalTicks)]
    assert [(part.present, len(part.ticks)) for part in parts] == [(("NAS100",), 1), (("EURUSD",), 1)]


def test_the_way_back_leaves_one_partition_with_everything(link: Link) -> None:
    filled(link)
    moved(link, 1, 4)
    moved(link, 4, 1)

    assert not [name for name in link.call("KEYS", "*") if name.startswith((b"{1}", b"{2}", b"{3}"))]  # type: ignore[union-attr]
    fields = link.call("HGETALL", keys.state(0, "collector"))
    assert isinstance(fields, list)
    assert dict(zip(fields[::2], fields[1::2], strict=True)) == {
        b"cycle": b"7", b"t:yahoo": b"1", b"q:yahoo:EURUSD:fx_spot": b"e", b"q:yahoo:NAS100:x": b"n",
    }  # fmt: skip
    assert link.call("EXISTS", keys.bar_cache(0, "EURUSD", "1m"), keys.feature_values(0, "NAS100", "5m")) == 2


def test_no_id_of_a_stream_ever_comes_again(link: Link) -> None:
    filled(link)
    moved(link, 1, 4)

    kept, begun = (link.call("XADD", RAW.key(p), "*", FIELD, "new") for p in (0, 2))
    groups = link.call("XINFO", "GROUPS", RAW.key(2))
    assert isinstance(kept, bytes)
    assert isinstance(begun, bytes)
    assert int(kept.split(b"-")[0]) >= 5
    assert int(begun.split(b"-")[0]) >= NOW_MS
    assert f"{NOW_MS}-0".encode() in groups[0]  # type: ignore[index, operator]


def test_keys_that_nobody_knows_stop_the_move(link: Link) -> None:
    filled(link)
    link.call("SET", "{0}:notes", "mine")
    with pytest.raises(Fatal, match=r"keys that nobody knows how to move: \{0\}:notes"):
        moved(link, 1, 4)


def test_without_data_there_is_nothing_to_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_HOST", "127.0.0.1")
    monkeypatch.setenv("REDIS_PORT", str(free_port()))

    assert main(["4"]) == 1
    assert f"the data of a stopped pipeline in {tmp_path}/data/redis, found none" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_every_stage_with_a_state_has_a_rule() -> None:
    assert set(SYMBOL_OF_FIELD) == set(STAGES) - {"api"}


def test_the_number_of_partitions_is_set_once(link: Link) -> None:
    claim_partitions(link, 4)
    claim_partitions(link, 4)
    with pytest.raises(Fatal, match=r"STREAM_PARTITIONS: expected 4, .* found 1; .*make partitions N=1"):
        claim_partitions(link, 1)


def test_the_ticks_in_the_journal_get_their_new_partitions(tmp_path: Path) -> None:
    schema = "CREATE TABLE reports (seq INTEGER PRIMARY KEY, id UNIQUE, wall_ms, stream, partition, message, context)"
    with sqlite3.connect(tmp_path / "api-ticks.db") as db:
        db.execute(schema)
        db.execute("INSERT INTO reports VALUES (1, 'batch:0', 9, 'ticks', 0, ?, '')", (encode(ticks()),))
    with sqlite3.connect(tmp_path / "api-journal.db") as db:
        db.execute(schema)
        db.execute("INSERT INTO reports VALUES (1, 'open:1', 9, 'executions', 3, '', '')")

    readdress(tmp_path, PLACES.__getitem__)

    with sqlite3.connect(tmp_path / "api-ticks.db") as db:
        found = db.execute("SELECT id, wall_ms, partition FROM reports ORDER BY seq").fetchall()
    assert found == [("batch:2", 9, 2), ("batch:3", 9, 3)]
    with sqlite3.connect(tmp_path / "api-journal.db") as db:
        assert db.execute("SELECT partition FROM reports").fetchall() == [(0,)]
