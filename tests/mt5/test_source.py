"""The expert advisor's source, as far as it can be judged unread by MetaTrader: its shape, paths and keys."""

import json
import re
from pathlib import Path

import pytest

from api.app import OPENAPI, routes
from tests.mt5.terminal import MAIN, inputs, sources

DOCUMENT = json.loads(OPENAPI.read_text())
README = (Path(__file__).resolve().parents[2] / "docs" / "mt5" / "README.md").read_text()
FILES = sources()
WHOLE = "\n".join(FILES.values())
BODIES = {
    "ExecutionBody": "/api/executions", "CloseBody": "/api/executions/close", "HeartbeatBody": "/api/heartbeat",
    "ShutdownBody": "/api/events", "TermsOf": "/api/broker/symbols",
}  # fmt: skip


def bare(text: str) -> str:
    """Return a source without comments, strings and characters; each must end on its own line."""
    token = re.compile(r"""//[^\n]*|"(?:\\[^\n]|[^"\\\n])*"|'(?:\\[^\n]|[^'\\\n])'""")
    return token.sub("", text)


def resolve(schema: dict[str, object]) -> dict[str, object]:
    """Return a schema with its reference followed."""
    reference = str(schema.get("$ref", ""))
    return DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]] if reference else schema


def function(name: str) -> str:
    """Return a function's text."""
    found = re.search(rf"^\w+ {name}\(.*?\n}}\n", WHOLE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_plain_and_whole(name: str) -> None:
    text = FILES[name]
    assert text.isascii()
    assert "\t" not in text
    assert max(len(line) for line in text.splitlines()) <= 120
    assert len(text.splitlines()) <= 300
    code = bare(text)
    assert '"' not in code
    assert "'" not in code
    for opening, closing in ("{}", "()", "[]"):
        assert code.count(opening) == code.count(closing)


def test_no_function_is_long_and_nothing_is_searched_for_in_text() -> None:
    bodies = re.findall(r"^[\w :]+\([^)]*\)(?: const)?\n\{\n(.*?)^\}$", WHOLE, re.MULTILINE | re.DOTALL)
    assert len(bodies) > 40
    assert max(body.count("\n") for body in bodies) <= 30
    assert "StringFind" not in WHOLE


def test_every_path_that_it_asks_is_a_route() -> None:
    asked = set(re.findall(r'"(/(?:api|health)[\w/]*)', WHOLE))
    assert asked == {"/health", "/api/signals", *BODIES.values()}
    assert asked <= {route.path for route in routes()}


@pytest.mark.parametrize(("name", "path"), BODIES.items())
def test_every_key_that_it_sends_is_documented_and_none_that_must_be_there_is_missing(name: str, path: str) -> None:
    request = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = resolve(request)
    if name == "TermsOf":
        schema = resolve(schema["properties"]["symbols"]["items"])  # type: ignore[index]
    sent = set(re.findall(r'Json(?:Text|Real|Whole)\("(\w+)"', function(name)))
    assert set(schema.get("required", ())) <= sent  # type: ignore[call-overload]
    known = set(schema["properties"]) | free_keys(path)  # type: ignore[call-overload]
    assert sent <= known


def free_keys(path: str) -> set[str]:
    """Return the keys of the documented example: an event has keys of its own."""
    content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return set(content["example"])


def test_every_key_that_it_reads_is_in_every_signal() -> None:
    read = set(re.findall(r'at \+ "/(\w+)"', function("ReadSignal")))
    assert {"id", "expires_in_ms", "simulated", "lots", "stop_loss"} <= read
    assert read <= set(DOCUMENT["components"]["schemas"]["Signal"]["required"])


def test_the_page_explains_every_input_and_names_every_file() -> None:
    assert [name for name in inputs(FILES[MAIN]) if f"`{name}`" not in README] == []
    assert [name for name in FILES if f"`{name}`" not in README] == []
