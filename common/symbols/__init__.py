"""The symbol table: what each symbol is, who quotes it, and which sources are the same instrument."""

from common.symbols.table import CLASS_BYTES, TERMINAL, Listing, SourceClass, Symbol, SymbolTable, load_symbols

__all__ = ["CLASS_BYTES", "TERMINAL", "Listing", "SourceClass", "Symbol", "SymbolTable", "load_symbols"]
