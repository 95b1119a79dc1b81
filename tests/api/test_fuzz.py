"""Whatever comes: an answer in the documented shape, and never an error of ours."""

import json
from urllib.parse import quote

import httpx
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from api.app import routes
from api.context import Context
from tests.api import ea_client
from tests.api.test_posts import FILL
from tests.api.world import World
from tests.support_examples import examples

Api = tuple[httpx.AsyncClient, Context]

often = examples(120, suppress_health_check=[HealthCheck.function_scoped_fixture])
texts = st.text(max_size=60) | st.sampled_from(
    ["nan", "-0", "1e5", "1m", "true", "EURUSD", "limit", "\x00", "\u0663", "\U0001d7d9"]
)
numbers = st.floats(allow_nan=True, allow_infinity=True).map(str) | st.integers().map(str)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
FIELDS = (*json.loads(FILL), "exit_price", "exit_reason", "pnl", "event")


@given(equity=texts | numbers | st.floats(min_value=1e-9, max_value=1e13).map(lambda x: f"{x:.2f}"))
@often
async def test_no_equity_leads_to_anything_but_a_size_or_a_refusal(world: World, api: Api, equity: str) -> None:
    world.alive("EURUSD")
    world.signal("EURUSD")
    reply = await api[0].get(f"/api/signals?equity={quote(equity, safe='')}")
    if reply.status_code == 422:
        assert set(reply.json()["error"]) == {"code", "message", "expected", "found"}
        return
    assert reply.status_code == 200
    for order in ea_client.read(reply.content):
        # The stop is 0.00109 away: 109 USD a lot; 1 % of the equity may be lost.
        assert 0.01 <= order.lots <= min(100.0, float(equity) * 0.01 / 109 * (1 + 1e-9))


@given(
    path=st.sampled_from([route.path for route in routes()]) | texts.map(lambda text: "/" + quote(text, safe="/")),
    symbol=texts,
    names=st.lists(st.sampled_from(["equity", "limit", "timeframe", "forming", "names", "token"]) | texts, max_size=4),
    given_values=st.lists(texts | numbers, min_size=4, max_size=4),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS"]),
)
@often
async def test_no_request_line_leads_to_an_error_of_ours(
    world: World, api: Api, path: str, symbol: str, names: list[str], given_values: list[str], method: str
) -> None:
    world.alive("EURUSD")
    query = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in zip(names, given_values, strict=False))
    reply = await api[0].request(method, f"{path.replace('{symbol}', quote(symbol, safe=''))}?{query}")
    # 503: not ready, or no history in this world.
    assert reply.status_code < 500 or reply.status_code == 503
    assert reply.content.isascii()


@given(
    path=st.sampled_from(["/api/executions", "/api/executions/close", "/api/events"]),
    changes=st.dictionaries(st.sampled_from(FIELDS), values, max_size=4),
    tail=st.binary(max_size=30),
)
@often
async def test_no_body_leads_to_an_error_of_ours(api: Api, path: str, changes: dict[str, object], tail: bytes) -> None:
    body = {**json.loads(FILL), "exit_price": 1.0, "exit_reason": "SL", "event": "x", **changes}
    reply = await api[0].post(path, content=json.dumps(body).encode() + tail)
    assert reply.status_code in (200, 422)


@given(body=st.binary(max_size=200) | texts.map(lambda text: ('{"event":"' + text + '"').encode("utf-8", "replace")))
@often
async def test_no_bytes_lead_to_an_error_of_ours(api: Api, body: bytes) -> None:
    reply = await api[0].post("/api/events", content=body)
    assert reply.status_code in (200, 400, 422)
