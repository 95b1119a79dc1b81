"""A symbol table for benches: made-up currency pairs, as many as are asked for."""

from pathlib import Path

from common.symbols import SymbolTable, load_symbols

SERIES = "fx_spot"
_SYMBOL = """
[symbol.{name}]
title = "made up"
broker = "{name}.e"
series = "fx_spot"
quote_currency = "USD"
base_currency = "{base}"
tick_size = 0.00001
digits = 5
contract_size = 100000
lot_min = 0.01
lot_step = 0.01
lot_max = 50.0
sources = [{{ vendor = "yahoo", symbol = "{name}=X", class = "fx_spot", volume = "ticks", delay_s = 0 }}]
"""


def make_table(folder: Path, count: int) -> SymbolTable:
    """Write a table of so many symbols into the folder, as symbols.toml, and return it. The first is the euro."""
    names = [f"S{number:04}" for number in range(count)]
    head = f'[class.{SERIES}]\ntitle = "made up"\nsession = "fx"\n'
    file = folder / "symbols.toml"
    file.write_text(head + "".join(_SYMBOL.format(name=n, base="" if i else "EUR") for i, n in enumerate(names)))
    return load_symbols(names, file)
