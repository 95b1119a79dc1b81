"""What the collector says of each symbol: served, withheld because no source can serve it, or closed."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog

from common.sources import NO_SOURCE, SymbolStatus
from common.symbols import SymbolTable

log = structlog.get_logger()


class Statuses:
    """The symbols' statuses, and which of them changed in the cycle at hand."""

    def __init__(self, table: SymbolTable, feeding: Callable[[str], str] | None = None) -> None:
        """feeding: symbol -> the class that feeds its series; None: always its own."""
        self._table = table
        self._class = feeding or (lambda symbol: table.symbols[symbol].series)
        self._now: dict[str, SymbolStatus] = {}

    def restore(self, committed: Mapping[str, SymbolStatus]) -> None:
        """Begin with what was committed last."""
        self._now = {symbol: status for symbol, status in committed.items() if symbol in self._table.symbols}

    def all(self) -> Mapping[str, SymbolStatus]:
        """Return every symbol's status, as far as there is one."""
        return self._now

    def of(self, symbol: str) -> SymbolStatus | None:
        """Return one symbol's status; None: nothing is known yet."""
        return self._now.get(symbol)

    def served(self, symbol: str, source: str, at_ms: int) -> None:
        """Note that a source gave the symbol's price."""
        self._set(symbol, SymbolStatus("ok", source, self._class(symbol), "", at_ms), "")

    def closed(self, symbol: str, opens_ms: int, at_ms: int) -> None:
        """Note that the symbol's session is closed."""
        opens = datetime.fromtimestamp(opens_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
        session = self._table.session_of(symbol, self._class(symbol))
        detail = f"session {session} is closed; opens {opens}"
        self._set(symbol, SymbolStatus("closed", "", self._class(symbol), detail, at_ms), "")

    def waiting(self, symbol: str, source: str, patience_ms: int, at_ms: int) -> None:
        """Note that it is not the source's turn yet: what was served at most `patience_ms` ago stands."""
        before = self._now.get(symbol)
        if before is None or before.status != "ok" or at_ms - before.at_ms > patience_ms:
            self.withheld(symbol, f"{source}: not its turn yet", at_ms)

    def withheld(self, symbol: str, why: str, at_ms: int) -> None:
        """Note that no source of the symbol's class can serve it now. `why` is for the log only."""
        self._set(symbol, SymbolStatus("withheld", "", self._class(symbol), NO_SOURCE, at_ms), why)

    def _set(self, symbol: str, status: SymbolStatus, why: str) -> None:
        before = self._now.get(symbol)
        self._now[symbol] = status
        if before is None or (before.status, before.source) != (status.status, status.source):
            say = log.warning if status.status == "withheld" else log.info
            say(
                "symbol.status",
                symbol=symbol,
                status=status.status,
                source=status.source,
                detail=status.detail,
                why=why,
            )
