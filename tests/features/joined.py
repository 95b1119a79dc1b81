"""Two symbols of one partition group, indicators over both, and what TA-Lib's batch functions give for them."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from common import keys
from common.bars import unpack
from common.features import FeatureSet, decode_features
from common.metrics import Metrics
from common.settings import Settings
from common.symbols import load_symbols
from common.symbols.table import BUILTIN as SYMBOLS
from features.stage import FeaturesHandler
from tests.features.support import LONG_S, NO_STRATEGIES, Store
from tests.features.talib_values import batch, stretches

MINUTE = 60_000
PAIR = ("EURUSD", "GBPUSD")
PLAN = """
[indicators]
ema = { function = "EMA", timeperiod = 3 }
beta = { function = "BETA", timeperiod = 5, inputs = ["close", "GBPUSD:close"], symbols = ["EURUSD"] }
correlation = { function = "CORREL", timeperiod = 6, inputs = ["GBPUSD:high", "low"], symbols = ["EURUSD"] }
theirs = { function = "EMA", timeperiod = 4, inputs = ["GBPUSD:close"], symbols = ["EURUSD"] }
"""


def symbols_file(folder: Path, groups: Sequence[str] = ("fx", "fx"), delays_s: Sequence[int] = (0, 0)) -> Path:
    """The project's table, with partition groups and delays for the two symbols."""
    path = folder / f"symbols-{'-'.join(map(str, (*groups, *delays_s)))}.toml"
    if not path.exists():
        head, *tables = SYMBOLS.read_text().split("\n[symbol.")
        for place, table in enumerate(tables):
            for name, group, delay_s in zip(PAIR, groups, delays_s, strict=True):
                if table.startswith(f"{name}]"):
                    grouped = table.replace("\n", f'\npartition_group = "{group}"\n', 1)
                    tables[place] = grouped.replace("delay_s = 0", f"delay_s = {delay_s}")
        path.write_text("\n[symbol.".join([head, *tables]))
    return path


def new_stage(store: Store, folder: Path, **changes: object) -> FeaturesHandler:
    """A handler over the pair, restored from the store."""
    pass_s = changes.pop("pass_s", LONG_S)
    assert isinstance(pass_s, float)
    given: dict[str, object] = {
        "symbols": PAIR, "symbols_file": symbols_file(folder), "indicators_file": folder / "plan.toml",
        "timeframes": ("1m",), "limits": "none", "max_bars_cache": 60, "anchor_bars": 20, "collection_interval": 600.0,
        "strategies_file": NO_STRATEGIES,
    }  # fmt: skip
    made = Settings(_env_file=None, **(given | changes))  # type: ignore[call-arg, arg-type]  # pydantic-settings' own
    symbols = load_symbols(made.symbols, made.symbols_file)
    found = FeaturesHandler(0, made, symbols, Metrics("features"), pass_s=pass_s)
    store.commit(found.restore(store))  # type: ignore[arg-type]  # the store stands in for a link
    return found


def shown(store: Store) -> FeatureSet:
    return decode_features(store.keys[keys.feature_values(0, "EURUSD", "1m")])


def joined_values(store: Store, max_bars: int, anchor_bars: int) -> dict[str, float]:
    """TA-Lib's batch functions over the joined bars, from the bar half a window before the last anchor."""
    nothing = dict.fromkeys(("beta", "correlation", "theirs"), math.nan)
    own, other = (unpack(store.keys.get(keys.bar_cache(0, name, "1m"), [])) for name in PAIR)
    if not len(own) or not len(other):
        return nothing
    parts = stretches(own["open_ms"].tolist(), "EURUSD|1m", MINUTE, max_bars // 2, anchor_bars)
    mine = own[parts[-1].start :]
    if len(other) == max_bars + anchor_bars and other["open_ms"][0] > mine["open_ms"][0]:
        return nothing  # bars of the beginning may have been cut off
    _, left, right = np.intersect1d(mine["open_ms"], other["open_ms"], return_indices=True)
    columns = {f"own_{name}": np.array(mine[name][left]) for name in ("low", "close")}
    columns |= {f"other_{name}": np.array(other[name][right]) for name in ("high", "close")}
    if not len(left):
        return nothing
    return {
        "beta": float(batch("BETA", columns["own_close"], columns["other_close"], timeperiod=5)[0][-1]),
        "correlation": float(batch("CORREL", columns["other_high"], columns["own_low"], timeperiod=6)[0][-1]),
        "theirs": float(batch("EMA", columns["other_close"], timeperiod=4)[0][-1]),
    }
