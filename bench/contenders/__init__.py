"""What computes indicators bar by bar for many symbols: the engine, bare TA-Lib, and other libraries."""
