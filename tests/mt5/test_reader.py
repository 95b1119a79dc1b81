"""The expert advisor's reader of JSON, compiled: it takes a whole document, or nothing."""

import json

import pytest

from tests.mt5.desk import TOKEN, Desk, signal

GOOD = '{"signals":[{"a":-0.5,"b":[],"c":{},"d":"x"}],"ok":true,"none":null}'


@pytest.mark.parametrize(
    "text",
    ["[1]x", '{"a":01}', '{"a":1.}', '{"a":.5}', '{"a":+1}', '{"a":nan}',
     '{"a":"b}', '{"a":1,}', "[1,]", "[1 2]", '{"a" 1}', "{a:1}", "", "{", "[", '{"a":tru}', '{"a":True}',
     '{"a":-}', '{"a":1}{"b":2}', '"', "<html>", '{"a":--1}'],
)  # fmt: skip
async def test_the_reader_refuses_what_it_does_not_understand(desk: Desk, text: str) -> None:
    if text:
        assert (await desk.terminal.tell(f"parse {text}"))[0].startswith("parsed no ")
    with pytest.raises(ValueError, match="line"):
        json.loads(text)


@pytest.mark.parametrize(
    "text",
    ['{"a":1,"a":2}', '{"a":1e5}', '{"a":"\\n"}', "[[[[[[[[[[1]]]]]]]]]]", "[" + "1," * 2_000 + "1]", "x" * 300_000],
)
async def test_the_reader_refuses_what_is_beyond_its_bounds(desk: Desk, text: str) -> None:
    assert (await desk.terminal.tell(f"parse {text}"))[0].startswith("parsed no ")


async def test_the_reader_takes_the_apis_reply_and_no_mutilated_one(desk: Desk) -> None:
    """What it takes of a mutilated reply, a full parser takes too."""
    signal(desk)
    reply = (await desk.client.get(f"/api/signals?equity=1000&token={TOKEN.replace(' ', '+')}")).text
    assert reply.startswith('{"signals":[{"symbol":"US100.e"')
    for text in (reply, GOOD):
        assert await desk.terminal.tell(f"parse {text}") == ["parsed yes "]
    for at in range(0, len(reply), 3):
        for text in (reply[:at], reply[:at] + reply[at + 1 :], reply[:at] + "," + reply[at:]):
            if text and (await desk.terminal.tell(f"parse {text}"))[0].startswith("parsed yes"):
                json.loads(text)
