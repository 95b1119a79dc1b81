"""Yahoo Finance: no contract, no key; a cookie and a crumb for quotes."""

from collections.abc import Mapping, Sequence

from collector.vendors.base import Ask, Credentials, HistoryReading, Reading, Reply, Request
from collector.vendors.yahoo import chart, crumb, quote, spark
from collector.vendors.yahoo.browser import USER_AGENT
from common.messages import Timeframe


class Yahoo:
    """The adapter: quotes from v7, history from v8 chart, crumb from v1; without a crumb prices from v8 spark.

    Hosts query1 and query2 are interchangeable and are blocked together, so one of them is enough.
    """

    name: str = "yahoo"
    hosts: Mapping[str, str] = {"": "https://query1.finance.yahoo.com", "cookie": "https://fc.yahoo.com"}
    needs_key: bool = False
    batch: int = 50
    """No limit is published; clients have long asked for this many."""
    headers: tuple[tuple[str, str], ...] = (
        ("User-Agent", USER_AGENT),
        ("Accept", "application/json,text/plain,*/*"),
        ("Accept-Language", "en-US,en;q=0.9"),
    )

    def latest(self, asks: Sequence[Ask], credentials: Credentials) -> Request:
        """See Vendor."""
        return quote.request(asks, credentials.token)

    def latest_without_token(self, asks: Sequence[Ask]) -> Request | None:
        """See Vendor."""
        return spark.request(asks)

    def read_latest(self, request: Request, reply: Reply) -> Reading:
        """See Vendor."""
        return spark.read(request, reply) if request.path == spark.PATH else quote.read(request, reply)

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
