"""What is shown of a bar that is still open, beside its closed ones."""

from pathlib import Path

import pytest

from common import keys
from common.features import FormingSet, decode_features
from common.messages import Quote, Quotes, VolumeKind
from tests.features.support import MONDAY_MS, Entries, Store, clock, handler, quote

MINUTE = 60_000
PLAN = """
[indicators]
sma = { function = "SMA", timeperiod = 2 }
volume_sma = { function = "SMA", timeperiod = 2, input = "volume" }
volume_sma_roc = { function = "ROC", timeperiod = 1, input = "volume_sma" }
"""


def tick(at_ms: int, price: float, kind: VolumeKind) -> Quote:
    return quote("NAS100", MONDAY_MS + at_ms, price, volume=0.0 if kind == "none" else 6.0, kind=kind)


def open_bar(tmp_path: Path, *quotes: Quote) -> FormingSet:
    """Close minutes of traded volume, and return what is shown of the next one after these quotes."""
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    store, entries = Store(), Entries()
    stage = handler(store, ("NAS100",), timeframes=("1m",), indicators_file=plan)
    for n in range(4):
        price = Quotes((tick(n * MINUTE, 100.0 + n, "traded"),))
        store.commit(stage.handle(entries.of(price, clock(MONDAY_MS + (n + 1) * MINUTE + 2_000))))
    store.commit(stage.handle(entries.of(Quotes(quotes))))
    forming = decode_features(store.keys[keys.feature_values(0, "NAS100", "1m")]).forming
    assert forming is not None
    return forming


def test_an_open_bar_has_values_as_if_it_closed_now(tmp_path: Path) -> None:
    shown = open_bar(tmp_path, tick(4 * MINUTE, 105.0, "traded"))
    assert (shown.volume, shown.values) == (6.0, {"sma": 104.0, "volume_sma": 6.0, "volume_sma_roc": 0.0})


@pytest.mark.parametrize("kinds", [("none",), ("ticks",), ("traded", "none")])
def test_an_open_bar_of_another_volume_has_no_value_that_rests_on_it(
    tmp_path: Path, kinds: tuple[VolumeKind, ...]
) -> None:
    shown = open_bar(tmp_path, *(tick(4 * MINUTE + n, 105.0, kind) for n, kind in enumerate(kinds)))
    assert shown.values == {"sma": 104.0, "volume_sma": None, "volume_sma_roc": None}
