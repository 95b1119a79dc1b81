"""Read and check the symbol table (symbols.toml beside this file, or the user's own)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from common.errors import Fatal
from common.keys import partition_of
from common.toml_file import read_text, tables

TERMINAL = "mt5"
"""The vendor of listings that the client's own terminal feeds, by POST."""

CLASS_BYTES = 32
"""A class's name at the most: it stands in records of fixed size."""

BUILTIN = Path(__file__).with_name("symbols.toml")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Listing(_Frozen):
    """One symbol at one vendor."""

    vendor: str
    symbol: str
    source_class: str = Field(alias="class")
    volume: Literal["traded", "ticks", "none"]
    delay_s: int = Field(ge=0)


class SourceClass(_Frozen):
    """An instrument: sources of one class may replace each other in one series."""

    title: str
    session: Literal["fx", "metals", "cme", "us_cash"]


class Symbol(_Frozen):
    """One generic symbol, with the broker's terms and the vendors that quote it, preferred first."""

    name: str
    title: str
    broker: str = Field(pattern=r"^[!#-\[\]-~]+( +[!#-\[\]-~]+)*$", max_length=64)
    """Plain text without quotes and backslashes: signals carry it to a client that knows no escapes, and fills back."""
    series: str
    quote_currency: str
    base_currency: str = ""
    """What one unit of it is, where that is a currency: its price is then an exchange rate."""
    tick_size: float = Field(gt=0)
    digits: int = Field(ge=0)
    contract_size: float = Field(gt=0)
    lot_min: float = Field(gt=0)
    lot_step: float = Field(gt=0)
    lot_max: float = Field(gt=0)
    tick_value: float | None = Field(default=None, gt=0)
    """What one lot earns a tick, in account currency, as terminals report it; None: as `contract_size` says."""
    margin_per_lot: float | None = Field(default=None, gt=0)
    """In account currency; goes before `margin_rate`."""
    margin_rate: float | None = Field(default=None, gt=0, le=1)
    """Share of a position's worth that the broker binds as margin; None: as the account's leverage says."""
    partition_group: str = ""
    failover: tuple[str, ...] = ()
    """Other classes that may feed the series while its own has no source, preferred first: the user's permission."""
    sources: tuple[Listing, ...] = Field(min_length=1)

    @field_validator("broker")
    @classmethod
    def _is_no_key(cls, value: str) -> str:
        if value in ("symbol", "signals"):
            raise ValueError("expected another name: clients that search for substrings take this one for a key")
        return value

    @model_validator(mode="after")
    def _series_has_a_source(self) -> Self:
        if not any(listing.source_class == self.series for listing in self.sources):
            raise ValueError(f"series {self.series!r} has no source; classes here: {sorted(self.classes())}")
        if unlisted := set(self.failover) - self.classes():
            raise ValueError(f"failover: no source quotes {sorted(unlisted)}; classes here: {sorted(self.classes())}")
        return self

    def classes(self) -> set[str]:
        """Return the classes that any of its sources quotes."""
        return {listing.source_class for listing in self.sources}

    def feed(self, source_class: str = "") -> tuple[Listing, ...]:
        """Return the listings of one class (empty: the series' own), preferred first."""
        wanted = source_class or self.series
        return tuple(listing for listing in self.sources if listing.source_class == wanted)

    def may_feed(self) -> tuple[str, ...]:
        """Return the classes that may feed the series, preferred first: the terminal's, its own, those of failover."""
        terminal = (listing.source_class for listing in self.sources if listing.vendor == TERMINAL)
        return tuple(dict.fromkeys((*terminal, self.series, *self.failover)))

    def partition(self, partitions: int) -> int:
        """Return the partition that this symbol's messages and keys belong to."""
        return partition_of(self.partition_group or self.name, partitions)


class SymbolTable(_Frozen):
    """The symbols in use, in the order of the SYMBOLS setting, and their classes."""

    symbols: dict[str, Symbol]
    classes: dict[str, SourceClass]

    @model_validator(mode="after")
    def _classes_exist(self) -> Self:
        for symbol in self.symbols.values():
            missing = symbol.classes() - self.classes.keys()
            if missing:
                raise ValueError(f"{symbol.name}: no [class] table for {sorted(missing)}")
        for name in self.classes:
            if len(name.encode()) > CLASS_BYTES:
                raise ValueError(f"class: expected a name of at most {CLASS_BYTES} bytes, found {name!r}")
        return self

    @model_validator(mode="after")
    def _broker_names_are_one_symbols(self) -> Self:
        """A fill names its symbol as the broker does: of two under one name, one would not be silenced by it."""
        for symbol in self.symbols.values():
            others = [s for s in self.symbols.values() if s is not symbol and symbol.broker in (s.broker, s.name)]
            if others:
                raise ValueError(f"{symbol.name}: broker {symbol.broker!r} is also {others[0].name}'s")
        return self

    def session_of(self, symbol: str, source_class: str = "") -> str:
        """Return the name of the trading session of one class of the symbol (of its series' own class)."""
        return self.classes[source_class or self.symbols[symbol].series].session

    def in_partition(self, partition: int, partitions: int) -> tuple[Symbol, ...]:
        """Return the symbols of one partition, in order."""
        return tuple(s for s in self.symbols.values() if s.partition(partitions) == partition)


def load_symbols(names: Sequence[str], path: Path | None = None) -> SymbolTable:
    """Return the table of `names`. Fatal, with the file and the place, if it is wrong or a name is not in it."""
    file = path or BUILTIN
    content = tables("SYMBOLS_FILE", str(file), read_text("SYMBOLS_FILE", file))
    known = content.get("symbol")
    if not isinstance(known, dict) or not all(isinstance(rows, dict) for rows in known.values()):
        raise Fatal(f"SYMBOLS_FILE: {file}: expected a table [symbol.NAME] for each symbol, found {known!r:.100}")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise Fatal(f"SYMBOLS: {', '.join(unknown)} not in {file}; it has {', '.join(known)}")
    try:
        return SymbolTable.model_validate(
            {"symbols": {n: {"name": n, **known[n]} for n in names}, "classes": content.get("class", {})}
        )
    except ValidationError as e:
        raise Fatal(f"SYMBOLS_FILE: {file}: {e}") from e
