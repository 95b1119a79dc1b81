"""An installation of so many symbols over a Valkey of its own, and what is quoted in it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.symbol_table import SERIES, make_table
from bench.valkey import valkey
from common.messages import Quote
from common.settings import Settings
from common.symbols import SymbolTable


@contextmanager
def installation(count: int, partitions: int, plan: str, cached: int) -> Iterator[tuple[Settings, SymbolTable]]:
    """Yield the settings and the symbols. plan: the text of a plan file; empty: the default plan. cached: in bars."""
    with valkey() as base, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = make_table(folder, count)
        file = folder / "plan.toml"
        file.write_text(plan)
        unasked = folder / "strategies.toml"  # a plan made for this measurement has not what strategies name
        unasked.write_text("[strategies]\n")
        yield (
            base.model_copy(
                update={
                    "symbols": tuple(table.symbols), "symbols_file": folder / "symbols.toml", "limits": "none",
                    "stream_partitions": partitions, "partitions": tuple(range(partitions)), "state_dir": folder,
                    "max_bars_cache": cached, "indicators_file": file if plan else None,
                    "strategies_file": unasked if plan else None,
                }
            ),
            table,
        )  # fmt: skip


def quote_of(name: str, at_ms: int, price: float) -> Quote:
    """Return a quote of a symbol, as the validator publishes it."""
    return Quote(
        symbol=name, source="yahoo", source_class=SERIES, market_ms=at_ms, received_ms=at_ms, price=price,
        raw_id="1-0", raw_index=0, volume=1.0, volume_kind="ticks", score=1.0,
    )  # fmt: skip
