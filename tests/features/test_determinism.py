"""Final bars, closed-bar values and signals are a function of the entries alone."""

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from common import keys
from common.features import decode_features
from common.messages import Bars, Message
from common.stage import Entry
from tests.features.market import START_MS, cycles, warm_up
from tests.features.support import LONG_S, Entries, Store, bar, handler, history
from tests.support_examples import examples

SYMBOLS = ("EURUSD", "NAS100")


def entries() -> tuple[Entry, ...]:
    """Twenty minutes of a market, its history before, and a repair in the middle."""
    live: list[Message] = list(cycles(SYMBOLS, seed=5, seconds=1_200, every_s=2, sigma=0.002))
    lost = bar(START_MS + 120_000, 1.2, high=1.3, low=1.1)
    repair = history([bar(START_MS - 600_000, 1.14, volume=3.0, volume_kind="traded"), lost])
    live.insert(800, repair)
    return Entries().of(*warm_up(SYMBOLS), *live)  # type: ignore[arg-type]  # messages of the stream


ENTRIES = entries()


def run(
    batches: Sequence[Sequence[Entry]], restarts: set[int], pass_s: float = LONG_S
) -> tuple[dict[str, list[Message]], dict[Any, Any], Store]:
    """Return what was published by stream, each lane's values after each bar that was seen as the last, and the store.

    restarts: before which passes the stage begins anew. pass_s: what a pass may take; what a batch leads to may take
    several.
    """
    store = Store()
    stage = handler(store, SYMBOLS, pass_s=pass_s)
    published: dict[str, list[Message]] = {}
    values: dict[Any, Any] = {}
    left = [tuple(batch) for batch in batches]
    number = 0
    while left or stage.engine.closing:
        if number in restarts:
            stage = handler(store, SYMBOLS, pass_s=pass_s)
        number += 1
        batch = left.pop(0) if left else ()
        outcome = store.commit(stage.handle(batch))
        if batch[outcome.entries :]:
            left.insert(0, batch[outcome.entries :])
        for one in outcome.publish:
            published.setdefault(one.stream.name, []).extend(_parts(one.message))
        _note_values(store, values)
    return published, values, store


def _parts(message: Message) -> Sequence[Message]:
    """Return what counts: how many bars come in one message is not promised."""
    return [Bars((bar,)) for bar in message.bars] if isinstance(message, Bars) else [message]


def _note_values(store: Store, values: dict[Any, Any]) -> None:
    for symbol in SYMBOLS:
        for timeframe in ("1s", "1m", "5m"):
            body = store.keys.get(keys.feature_values(0, symbol, timeframe))
            found = decode_features(body) if body else None
            if found and found.values and found.bar_open_ms:
                closed = (found.values, found.not_ready, found.bars_seen, found.ready)
                # A repair may change the values after the same last bar.
                values.setdefault((symbol, timeframe, found.bar_open_ms), set()).add(repr(closed))


@cache
def undisturbed() -> tuple[dict[str, list[Message]], dict[Any, Any], Store]:
    """Return the same of a run one by one, without restarts."""
    return run([ENTRIES[at : at + 1] for at in range(len(ENTRIES))], set())


@examples(12)
@given(st.data())
def test_any_batches_with_any_restarts_lead_to_the_same_bars_values_and_signals(data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(ENTRIES) - 1), max_size=60)))
    batches = [ENTRIES[a:b] for a, b in zip([0, *cuts], [*cuts, len(ENTRIES)], strict=True)]
    restarts = data.draw(st.sets(st.integers(0, len(batches) - 1), max_size=10))

    assert_same(*run(batches, restarts))


def test_passes_without_time_lead_to_the_same_bars_values_and_signals() -> None:
    """Each takes one entry, or closes the bars of one symbol: a restart between two of these goes on with the rest."""
    restarts = set(random.Random(7).sample(range(3_000), 20))
    assert_same(*run([ENTRIES[at : at + 50] for at in range(0, len(ENTRIES), 50)], restarts, pass_s=0.0))


def assert_same(published: dict[str, list[Message]], values: dict[Any, Any], store: Store) -> None:
    """Hold a run to the undisturbed one."""
    expected, expected_values, expected_store = undisturbed()
    assert published == expected
    for place, seen in values.items():
        assert seen <= expected_values[place], place
    for name, kept in expected_store.keys.items():
        if "features:" not in name:  # forming values are not promised
            assert store.keys[name] == kept, name


def test_the_market_of_this_test_closes_bars_and_gives_signals() -> None:
    published, _, store = undisturbed()

    assert len(published["signals"]) >= 2
    assert len(published["bars"]) > 500
    assert len(published["history_requests"]) == 10  # two symbols, five timeframes, each asked once
    assert len(store.keys[keys.bar_cache(0, "EURUSD", "1m")]) == 1_018
