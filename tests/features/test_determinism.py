"""Final bars, closed-bar values and signals are a function of the entries alone."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from common import keys
from common.features import decode_features
from common.messages import Message, encode
from common.stage import Entry
from tests.features.market import START_MS, cycles, warm_up
from tests.features.support import Entries, Store, bar, handler, history

SYMBOLS = ("EURUSD", "NAS100")


def entries() -> tuple[Entry, ...]:
    """Twenty minutes of a market, its history before, and a repair in the middle."""
    live: list[Message] = list(cycles(SYMBOLS, seed=5, seconds=1_200, every_s=2, sigma=0.002))
    lost = bar(START_MS + 120_000, 1.2, high=1.3, low=1.1)
    repair = history([bar(START_MS - 600_000, 1.14, volume=3.0, volume_kind="traded"), lost])
    live.insert(800, repair)
    return Entries().of(*warm_up(SYMBOLS), *live)  # type: ignore[arg-type]  # messages of the stream


ENTRIES = entries()


def run(batches: Sequence[Sequence[Entry]], restarts: set[int]) -> tuple[list[bytes], dict[Any, Any], Store]:
    """Return what was published, each lane's values after each bar that was seen as the last one, and the store."""
    store = Store()
    stage = handler(store, SYMBOLS)
    published: list[bytes] = []
    values: dict[Any, Any] = {}
    for number, batch in enumerate(batches):
        if number in restarts:
            stage = handler(store, SYMBOLS)
        outcome = store.commit(stage.handle(tuple(batch)))
        published += [_told(p.message) for p in outcome.publish]
        for symbol in SYMBOLS:
            for timeframe in ("1s", "1m", "5m"):
                body = store.keys.get(keys.feature_values(0, symbol, timeframe))
                found = decode_features(body) if body else None
                if found and found.values and found.bar_open_ms:
                    closed = (found.values, found.not_ready, found.bars_seen, found.ready)
                    # A repair may change the values after the same last bar.
                    values.setdefault((symbol, timeframe, found.bar_open_ms), set()).add(repr(closed))
    return published, values, store


def _told(message: Message) -> bytes:
    return encode(message)


WHOLE = run([ENTRIES[at : at + 1] for at in range(len(ENTRIES))], set())


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_any_batches_with_any_restarts_lead_to_the_same_bars_values_and_signals(data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(ENTRIES) - 1), max_size=60)))
    batches = [ENTRIES[a:b] for a, b in zip([0, *cuts], [*cuts, len(ENTRIES)], strict=True)]
    restarts = data.draw(st.sets(st.integers(0, len(batches) - 1), max_size=10))

    published, values, store = run(batches, restarts)

    expected, expected_values, expected_store = WHOLE
    assert published == expected
    for place, seen in values.items():
        assert seen <= expected_values[place], place
    for name, kept in expected_store.keys.items():
        if "features:" not in name:  # forming values are not promised
            assert store.keys[name] == kept, name


def test_the_market_of_this_test_closes_bars_and_gives_signals() -> None:
    published, _, store = WHOLE

    kinds = [body.split(b'"')[3] for body in published]
    assert kinds.count(b"signal") >= 2
    assert kinds.count(b"bars") > 500
    assert kinds.count(b"history_request") == 10  # two symbols, five timeframes, each asked once
    assert len(store.keys[keys.bar_cache(0, "EURUSD", "1m")]) == 1_018
