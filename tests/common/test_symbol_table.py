"""The symbol table: what a broker's name may be."""

from pathlib import Path

import pytest

from common.errors import Fatal
from common.symbols import load_symbols
from common.symbols.table import BUILTIN


def named(tmp_path: Path, broker: str) -> Path:
    file = tmp_path / "symbols.toml"
    file.write_text(BUILTIN.read_text().replace('broker = "US100.e"', f"broker = '{broker}'"))
    return file


def test_a_brokers_name_may_have_blanks_inside(tmp_path: Path) -> None:
    table = load_symbols(("NAS100",), named(tmp_path, "US Tech 100"))
    assert table.symbols["NAS100"].broker == "US Tech 100"


@pytest.mark.parametrize(
    "broker", ["", " US100", "US100 ", 'US"100', "US\\100", "US\u00fc", "U" * 65, "symbol", "signals"]
)
def test_a_name_that_signals_or_fills_could_not_carry_stops_the_start(tmp_path: Path, broker: str) -> None:
    with pytest.raises(Fatal, match=r"(?s)SYMBOLS_FILE.*NAS100.*broker"):
        load_symbols(("NAS100",), named(tmp_path, broker))
