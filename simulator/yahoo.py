"""Yahoo's REST endpoints: quote with cookie and crumb, chart, spark."""

import base64
import hashlib
from dataclasses import replace
from urllib.parse import unquote

from simulator.instruments import Instrument
from simulator.limits import MINUTE_MS, Block, Limit, Unlimited
from simulator.timeline import Moment
from simulator.wire import HTML_TYPE, OUT_OF_ORDER, Answer, Call, encode, names
from simulator.yahoo_chart import chart, chart_error, spark_row
from simulator.yahoo_quote import row

_TYPE = "application/json;charset=utf-8"
_TEXT_TYPE = "text/plain;charset=utf-8"
_CACHE_MS = 10_000
"""A chart is the same copy for so long."""
_PLAIN_AGENTS = ("python", "curl", "java", "go-http-client", "okhttp", "aiohttp", "httpx", "wget", "libwww", "urllib")
_DENIED = "User is unable to access this feature - https://bit.ly/yahoo-finance-api-feedback"
_SPARK_SYMBOLS = 20
TOO_MANY = Answer(429, b"Edge: Too Many Requests", "text/plain", verdict="rate_limited")


def _finance_error(status: int, code: str, description: str, verdict: str) -> Answer:
    body = encode({"finance": {"result": None, "error": {"code": code, "description": description}}})
    return Answer(status, body, _TYPE, verdict=verdict)


def invalid_crumb() -> Answer:
    """Return what Yahoo says to a crumb that is no longer good."""
    return _finance_error(401, "Unauthorized", "Invalid Crumb", "bad_session")


def _short_hash(*parts: object) -> str:
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()


def _cookie(call: Call) -> str | None:
    for part in call.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "A3" and value:
            return value
    return None


class Yahoo:
    """The vendor. It keeps no sessions: a crumb follows from its cookie."""

    name = "yahoo"

    def __init__(self, listings: dict[str, Instrument], *, seed: int, real_limits: bool) -> None:
        self._listings = listings
        self._seed = seed
        self._cached = real_limits
        self._limit: Limit = Block(40, 40 * MINUTE_MS, 16 * MINUTE_MS) if real_limits else Unlimited()

    def answer(self, call: Call) -> Answer:
        """Return the reply to one GET, with the headers that all of them have."""
        agent = call.headers.get("user-agent", "").lower()
        if not agent or agent.startswith(_PLAIN_AGENTS):
            return replace(TOO_MANY, verdict="bad_agent")
        if self._limit.admit(call.view.now_ms) is not None:
            return TOO_MANY
        return self._with_headers(call, self._route(call))

    def rate_limited(self, call: Call) -> Answer:  # noqa: ARG002  # the Vendor protocol
        """Return the edge's answer to a blocked address."""
        return TOO_MANY

    def server_error(self, call: Call) -> Answer:  # noqa: ARG002  # the Vendor protocol
        """Return an HTML page, as Yahoo does."""
        return Answer(500, OUT_OF_ORDER, HTML_TYPE, verdict="outage")

    def _route(self, call: Call) -> Answer:
        match call.path.split("/")[1:]:
            case ["v7", "finance", "quote"]:
                return self._quote(call)
            case ["v8", "finance", "chart", symbol]:
                return self._chart(call, unquote(symbol))
            case ["v8", "finance", "spark"]:
                return self._spark(call)
            case ["v1", "test", "getcrumb"]:
                return self._crumb(call)
            case ["cookie", *_]:
                return self._set_cookie(call)
        return _finance_error(404, "Not Found", "HTTP 404 Not Found", "bad_request")

    def _with_headers(self, call: Call, answer: Answer) -> Answer:
        cache = "public, max-age=1, stale-while-revalidate=9"
        age = 0
        if call.path.startswith("/v8/"):
            cache = "public, max-age=10, stale-while-revalidate=20"
            age = call.view.now_ms % _CACHE_MS // 1000 if self._cached else 0
        elif call.path.startswith("/v1/"):
            cache = "private, max-age=60, stale-while-revalidate=30"
        rid = hashlib.md5(f"{call.view.moment.cycle}{call.path}".encode(), usedforsecurity=False).hexdigest()[:13]
        common = (
            ("age", str(age)), ("cache-control", cache if answer.status == 200 else "no-cache"), ("server", "ATS"),
            ("vary", "Origin,Accept-Encoding"), ("x-envoy-upstream-service-time", "2"), ("y-rid", rid),
        )  # fmt: skip
        return replace(answer, headers=(*common, *answer.headers))

    # -- session ----------------------------------------------------------------------------------

    def _set_cookie(self, call: Call) -> Answer:
        value = f"d={_short_hash(self._seed, 'cookie', call.view.moment.cycle)[:32]}&S={_short_hash(self._seed)[:12]}"
        header = f"A3={value}; Max-Age=31557600; Path=/; HttpOnly"
        return Answer(404, b"", "text/html", headers=(("set-cookie", header),), verdict="cookie")

    def _crumb_of(self, cookie: str) -> str:
        return _short_hash(self._seed, "crumb", cookie)[:11].replace("-", "x").replace("_", "y")

    def _crumb(self, call: Call) -> Answer:
        cookie = _cookie(call)
        if cookie is None:
            return _finance_error(401, "Unauthorized", "Invalid Cookie", "bad_session")
        return Answer(200, self._crumb_of(cookie).encode(), _TEXT_TYPE, verdict="crumb")

    def _denied(self, call: Call) -> Answer | None:
        cookie, crumb = _cookie(call), call.params.get("crumb", "")
        if cookie is None and not crumb:
            return _finance_error(401, "Unauthorized", _DENIED, "bad_session")
        if cookie is None:
            return _finance_error(401, "Unauthorized", "Invalid Cookie", "bad_session")
        return None if crumb == self._crumb_of(cookie) else invalid_crumb()

    # -- data -------------------------------------------------------------------------------------

    def _quote(self, call: Call) -> Answer:
        denied = self._denied(call)
        if denied is not None:
            return denied
        wanted = names(call.params.get("symbols", ""))
        if not wanted:
            error = {"code": "argument-error", "description": 'Missing value for the "symbols" argument'}
            return Answer(
                400, encode({"quoteResponse": {"result": None, "error": error}}), _TYPE, verdict="bad_request"
            )
        fields = frozenset(names(call.params.get("fields", "")))
        rows: list[str] = []
        ticks: dict[str, int] = {}
        for symbol in wanted:
            instrument = self._listings.get(symbol)
            if instrument is None:
                continue
            snapshot = call.view.snapshot(instrument)
            rows.append(row(call.view, instrument, snapshot, fields))
            if snapshot is not None:
                ticks[symbol] = snapshot.number
        body = f'{{"quoteResponse":{{"result":[{",".join(rows)}],"error":null}}}}'
        return Answer(200, body.encode(), _TYPE, ticks=ticks)

    def _older(self, call: Call) -> Call:
        """Return the call as the copy in the vendor's cache saw the market."""
        if not self._cached:
            return call
        moment = call.view.moment
        copied_ms = moment.now_ms // _CACHE_MS * _CACHE_MS
        if copied_ms == moment.now_ms:
            return call
        return replace(call, view=replace(call.view, moment=Moment(moment.cycle, copied_ms)))

    def _chart(self, call: Call, symbol: str) -> Answer:
        instrument = self._listings.get(symbol)
        if instrument is None:
            return chart_error(404, "Not Found", "No data found, symbol may be delisted")
        return chart(self._older(call), instrument)

    def _spark(self, call: Call) -> Answer:
        call = self._older(call)
        rows: list[str] = []
        ticks: dict[str, int] = {}
        wanted = names(call.params.get("symbols", ""))
        if not wanted or len(wanted) > _SPARK_SYMBOLS:
            return _finance_error(400, "Bad Request", f"expected 1 to {_SPARK_SYMBOLS} symbols", "bad_request")
        for symbol in wanted:
            instrument = self._listings.get(symbol)
            snapshot = None if instrument is None else call.view.snapshot(instrument)
            if instrument is None or snapshot is None:
                continue
            found = spark_row(call, instrument, snapshot)
            if isinstance(found, Answer):
                return found
            rows.append(f'"{symbol}":{found}')
            ticks[symbol] = snapshot.number
        return Answer(200, f"{{{','.join(rows)}}}".encode(), _TYPE, ticks=ticks)
