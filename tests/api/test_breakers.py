"""POST /api/sources/{name}/breaker: what an operator decides, and who hears of it."""

import httpx
import pytest
from pydantic import SecretStr

from api.context import Context
from common import keys
from common.breaker import Force, State, changes_of, view_of
from common.symbols import TERMINAL
from tests.api.test_openapi import DOCUMENT, valid
from tests.api.world import NOON_MS, World, serving

Api = tuple[httpx.AsyncClient, Context]
PATH = "/api/sources/yahoo/breaker"
OPEN = {"state": "open", "why": "its prices are wrong"}


def stored(world: World) -> dict[bytes, bytes]:
    return world.redis.hgetall(keys.breaker("yahoo"))  # type: ignore[return-value]


async def test_a_breaker_is_forced_open_and_everybody_can_see_by_whom_and_why(world: World, api: Api) -> None:
    world.alive("EURUSD")
    reply = await api[0].post(PATH, json=OPEN)
    assert reply.status_code == 200
    assert (reply.json()["source"], reply.json()["duplicate"]) == ("yahoo", False)
    forced = {
        "state": "open", "by": "api, from 127.0.0.1", "at": "2026-06-17T14:00:00.000Z", "why": "its prices are wrong"
    }  # fmt: skip
    assert reply.json()["breaker"]["forced"] == forced
    for path, sources in (("/api/sources", "sources"), ("/health", "data_sources")):
        shown = (await api[0].get(path)).json()[sources]["yahoo"]["breaker"]
        assert (shown["state"], shown["forced"], shown["retry_in_seconds"]) == ("OPEN", forced, None)
    view = view_of(stored(world))
    assert (view.state, view.force, view.forced_at_ms) == (State.OPEN, Force.OPEN, NOON_MS)


async def test_it_is_set_free_again_and_both_are_remembered_for_the_collector(world: World, api: Api) -> None:
    world.alive("EURUSD")
    for word in (OPEN, {"state": "closed", "why": "so be it"}, {"state": "auto", "why": "as it was"}):
        assert (await api[0].post(PATH, json=word)).status_code == 200
    changes = changes_of(stored(world))
    assert [(change.reason, change.why) for change in changes] == [
        ("forced_open", "its prices are wrong"), ("forced_closed", "so be it"), ("reset", "as it was"),
    ]  # fmt: skip
    assert (await api[0].get("/api/sources")).json()["sources"]["yahoo"]["breaker"]["forced"] is None


async def test_the_same_word_twice_is_one_change(world: World, api: Api) -> None:
    world.alive("EURUSD")
    replies = [(await api[0].post(PATH, json=OPEN)).json() for _ in range(2)]
    assert [reply["duplicate"] for reply in replies] == [False, True]
    assert len(changes_of(stored(world))) == 1


async def test_it_works_before_anything_has_run(world: World, api: Api) -> None:
    assert (await api[0].post(PATH, json=OPEN)).status_code == 200
    assert view_of(stored(world)).forced_at_ms == NOON_MS, "real time, where there is no stream"


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/api/sources/nobody/breaker", OPEN, 404, "unknown_source"),
        (f"/api/sources/{TERMINAL}/breaker", OPEN, 404, "unknown_source"),
        (PATH, {"state": "ajar", "why": "x"}, 422, "invalid_input"),
        (PATH, {"state": "OPEN", "why": "x"}, 422, "invalid_input"),
        (PATH, {"why": "x"}, 422, "invalid_input"),
        (PATH, {"state": "open"}, 422, "invalid_input"),
        (PATH, {"state": "open", "why": "  "}, 422, "invalid_input"),
        (PATH, {"state": ["open"], "why": 7}, 422, "invalid_input"),
    ],
)
async def test_a_word_that_is_none_changes_nothing(
    world: World, api: Api, path: str, body: dict, status: int, code: str
) -> None:
    reply = await api[0].post(path, json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert stored(world) == {}


async def test_it_needs_the_token_where_one_is_set(world: World) -> None:
    settings = world.settings.model_copy(update={"api_token": SecretStr("let-me-in")})
    async with serving(World(world.redis, settings, world.wall)) as (client, _):
        assert (await client.post(PATH, json=OPEN)).status_code == 401
        assert stored(world) == {}
        with_token = await client.post(PATH, json=OPEN, headers={"authorization": "Bearer let-me-in"})
        assert with_token.status_code == 200


async def test_it_is_counted_under_its_route(api: Api) -> None:
    await api[0].post(PATH, json=OPEN)
    counters = api[1].metrics.snapshot().counters
    routes = {sample.labels["route"] for sample in counters if sample.name == "md_http_requests_total"}
    assert "/api/sources/{name}/breaker" in routes


async def test_the_reply_is_as_the_document_says(world: World, api: Api) -> None:
    reply = await api[0].post(PATH, json=OPEN)
    operation = DOCUMENT["paths"]["/api/sources/{name}/breaker"]["post"]
    valid(operation["responses"]["200"]["content"]["application/json"]["schema"], reply.json())
