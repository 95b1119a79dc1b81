"""The symbol table: what each symbol is, who quotes it, and which sources are the same instrument."""

from common.symbols.table import TERMINAL, Listing, SourceClass, Symbol, SymbolTable, load_symbols

__all__ = ["TERMINAL", "Listing", "SourceClass", "Symbol", "SymbolTable", "load_symbols"]
