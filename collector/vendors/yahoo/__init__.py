"""Yahoo Finance: no contract, no key; a cookie and a crumb for quotes."""

from collections.abc import Mapping, Sequence

from collector.vendors.base import Ask, Credentials, HistoryReading, Reading, Reply, Request
from collector.vendors.yahoo import chart, crumb, quote
from common.messages import Timeframe


class Yahoo:
    """The adapter: quotes from v7, history from v8 chart, crumb from v1.

    Hosts query1 and query2 are interchangeable and are blocked together, so one of them is enough.
    """

    name: str = "yahoo"
    hosts: Mapping[str, str] = {"": "https://query1.finance.yahoo.com", "cookie": "https://fc.yahoo.com"}
    needs_key: bool = False
    batch: int = 50
    """No limit is published; clients have long asked for this many."""
    headers: tuple[tuple[str, str], ...] = (
        # The usual agents of HTTP libraries are answered with 429 on the first call.
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("Accept", "application/json,text/plain,*/*"),
        ("Accept-Language", "en-US,en;q=0.9"),
    )

    def latest(self, asks: Sequence[Ask], credentials: Credentials) -> Request:
        """See Vendor."""
        return quote.request(asks, credentials.token)

    def read_latest(self, request: Request, reply: Reply) -> Reading:
        """See Vendor."""
        return quote.read(request, reply)

    def history(
        self,
        ask: Ask,
        timeframe: Timeframe,
        from_ms: int,
        to_ms: int,
        credentials: Credentials,  # noqa: ARG002  # part of the protocol
    ) -> tuple[Request, ...]:
        """See Vendor."""
        return chart.requests(ask, timeframe, from_ms, to_ms)

    def read_history(self, request: Request, timeframe: Timeframe, reply: Reply) -> HistoryReading:
        """See Vendor."""
        return chart.read(request, timeframe, reply)

    def token_requests(self) -> tuple[Request, ...]:
        """See Vendor."""
        return crumb.requests()

    def read_token(self, reply: Reply) -> str | None:
        """See Vendor."""
        return crumb.read(reply)
