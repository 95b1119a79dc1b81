"""api/openapi.json is kept by hand: it must name the same routes as the code, and both must agree on every shape."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

import httpx
import jsonschema_rs
import pytest

from api.app import OPENAPI, routes
from api.context import Context
from api.paths import LIVE
from tests.api.history import write_bars
from tests.api.test_broker import posted
from tests.api.test_data import cache, minutes
from tests.api.test_health import working
from tests.api.test_posts import CLOSE, FILL, STOP
from tests.api.test_ticks import body, tick
from tests.api.world import World

Api = tuple[httpx.AsyncClient, Context]
Object = dict[str, dict[str, dict[str, object]]]

TICKS = json.dumps(body(tick()))
UNVERSIONED = (
    ("/api/executions", FILL), ("/api/executions/close", CLOSE), ("/api/events", STOP), ("/api/ticks", TICKS),
    ("/api/broker/symbols", posted()), ("/api/heartbeat", '{"equity":1000.5,"positions":[]}'),
)  # fmt: skip
POSTED = (*UNVERSIONED, *((path.replace("/api/", "/api/v1/"), sent) for path, sent in UNVERSIONED))
OTHERS = {"/metrics", *LIVE}
"""Not JSON, or without an end."""
DOCUMENT = json.loads(OPENAPI.read_text())


def linked(value: dict) -> dict:
    """Return what an object of the document stands for: another place in it, or itself."""
    reference = value.get("$ref")
    if reference is None:
        return value
    found = DOCUMENT
    for name in unquote(reference).removeprefix("#/").split("/"):
        found = found[name.replace("~1", "/")]
    return found


def operations_of(path_item: dict) -> Mapping[str, dict]:
    """Return method -> operation, whose replies are links no more."""
    return {
        method: operation | {"responses": {code: linked(part) for code, part in operation["responses"].items()}}
        for method, operation in linked(path_item).items()
    }


PATHS = {path: operations_of(item) for path, item in DOCUMENT["paths"].items()}


def valid(schema: Object, value: object) -> None:
    """Fail with the place of the first thing in `value` that the schema doesn't allow."""
    jsonschema_rs.validate({**schema, "components": DOCUMENT["components"]}, value)


def examples() -> Iterator[tuple[str, Object, object]]:
    for path, operations in PATHS.items():
        for method, operation in operations.items():
            bodies = {"request": operation["requestBody"]} if "requestBody" in operation else {}
            for status, part in {**operation["responses"], **bodies}.items():
                for content in part["content"].values():
                    yield f"{method} {path} {status}", content["schema"], content["example"]


def test_the_document_names_every_route_and_no_other() -> None:
    served = {(route.path, method) for route in routes() for method in route.methods or () if method != "HEAD"}
    described = {(path, method.upper()) for path, operations in PATHS.items() for method in operations}
    assert described == served


@pytest.mark.parametrize(("schema", "example"), [pytest.param(s, e, id=name) for name, s, e in examples()])
def test_every_example_is_valid(schema: Object, example: object) -> None:
    valid(schema, example)


async def test_every_reply_of_a_working_pipeline_is_valid(world: World, api: Api) -> None:
    working(world)
    world.lane("EURUSD", "1m")
    world.signal("EURUSD")
    write_bars(world.settings.database_path, minutes(0, 3))
    cache(world, minutes(0, 30))
    query = "?limit=2&forming=1&equity=1000&name=momentum"
    replies = {
        (path, "get"): await api[0].get(path.replace("{symbol}", "EURUSD") + query)
        for path, operations in PATHS.items() if "get" in operations and path not in OTHERS
    }  # fmt: skip
    for path, sent in POSTED:
        replies[path, "post"] = await api[0].post(path, content=sent)
    for path in ("/api/positions", "/api/broker/symbols", "/api/executions", "/api/performance"):
        replies[path, "get after"] = await api[0].get(path)
    for (path, when), reply in replies.items():
        method = when.partition(" ")[0]
        assert reply.status_code == 200, path
        content = PATHS[path][method]["responses"]["200"]["content"]
        valid(content["application/json"]["schema"], reply.json())


async def test_every_reply_before_anything_ran_is_valid(api: Api) -> None:
    for path, operations in PATHS.items():
        if "get" not in operations or path in OTHERS:
            continue
        reply = await api[0].get(path.replace("{symbol}", "EURUSD"))
        responses = operations["get"]["responses"]
        valid(responses[str(reply.status_code)]["content"]["application/json"]["schema"], reply.json())


def test_the_page_names_every_route() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()
    assert [route.path for route in routes() if f"{route.path}`" not in page and f"{route.path}?" not in page] == []
