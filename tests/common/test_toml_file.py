"""Every file that a user writes: what can't be read is told with the setting, the file and its line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from common.account.rules import load_rules
from common.errors import Fatal
from common.indicators import load_plan
from common.strategies.strategy_file import load_strategies
from common.symbols import load_symbols

LOADERS: dict[str, Callable[[Path], object]] = {
    "SYMBOLS_FILE": lambda file: load_symbols(("EURUSD",), file),
    "INDICATORS_FILE": load_plan,
    "STRATEGIES_FILE": lambda file: load_strategies(file, ()),
    "ACCOUNT_RULES": lambda file: load_rules(str(file)),
}


@pytest.mark.parametrize("setting", LOADERS)
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"# Z\xfcrich\n", "{file}, line 1: expected UTF-8, found other bytes"),
        (b"# fine\n# Z\xfcrich\n", "{file}, line 2: expected UTF-8, found other bytes"),
        (b"[one\n", "{file}: Expected ']' at the end of a table declaration (at line 1, column 5)"),
        (b"a = 1\na = 2\n", "{file}: Cannot overwrite a value (at line 2, column 6)"),
        (b"a = " + b"[" * 5_000, "{file}: expected lists and tables a few levels deep, found hundreds"),
    ],
)
def test_a_file_that_is_no_toml_is_fatal_and_named(tmp_path: Path, setting: str, content: bytes, expected: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(content)
    with pytest.raises(Fatal) as caught:
        LOADERS[setting](file)
    assert str(caught.value) == f"{setting}: {expected.format(file=file)}"


@pytest.mark.parametrize("setting", LOADERS)
def test_a_file_that_is_not_there_is_fatal_and_named(tmp_path: Path, setting: str) -> None:
    file = tmp_path / "none.toml"
    with pytest.raises(Fatal, match=rf"{setting}: .*{file}"):
        LOADERS[setting](file)


@pytest.mark.parametrize("content", ["", "symbol = 5", "symbol = []", "[symbol]\nEURUSD = 5"])
def test_a_symbol_table_of_another_shape_is_fatal_and_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(content)
    with pytest.raises(Fatal, match=rf"SYMBOLS_FILE: {file}: expected a table \[symbol.NAME\] for each symbol"):
        load_symbols(("EURUSD",), file)


def test_a_file_that_an_editor_began_with_a_mark_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xef\xbb\xbfpreset = 'ftmo_2step'\n")
    assert load_rules(str(file)) == load_rules("ftmo_2step")
