"""The small substitute for redis-cli."""

import os
import subprocess
import sys
from pathlib import Path

from redis.exceptions import ResponseError

from common.redis_link import Reply
from deploy.layout import ROOT
from deploy.redis_cli import lines
from tests.conftest import RedisServer
from tests.support import free_port


def test_scalars_are_shown_as_redis_cli_users_know_them() -> None:
    assert lines(b"OK") == ["OK"]
    assert lines(7) == ["7"]
    assert lines(None) == ["(nil)"]
    assert lines([]) == ["(empty)"]
    assert lines(ResponseError("wrong type")) == ["(error) wrong type"]
    assert lines(b"\x00\xff") == [r"\x00\xff"]


def test_maps_show_names_with_their_values() -> None:
    groups: Reply = [[b"name", b"validator", b"pending", 2], [b"name", b"other", b"pending", 0]]
    assert lines(groups, maps=True) == ["- name: validator", "  pending: 2", "- name: other", "  pending: 0"]


def test_lists_show_their_elements_and_entries_are_one_line() -> None:
    entry: Reply = [b"1700000000000-0", [b"m", b'{"kind":"clock"}']]
    assert lines([b"h", b"k"]) == ["- h", "- k"]
    assert lines([[b"{0}:raw", [entry]]]) == ["- - {0}:raw", '  - - 1700000000000-0  m: {"kind":"clock"}']
    assert lines([b"first-entry", entry], maps=True) == ['first-entry: 1700000000000-0  m: {"kind":"clock"}']


def ask(tmp_path: Path, port: int, line: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(port), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "deploy.redis_cli", "--line", line]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def test_a_line_is_one_command(tmp_path: Path, redis_server: RedisServer) -> None:
    redis_server.client().flushall()
    answers = [
        ask(tmp_path, redis_server.port, line)
        for line in ("HSET md:x a '1 * 2'", "HGETALL md:x", "HGETALL", "XINFO GROUPS {0}:raw")
    ]
    assert [(a.stdout, a.returncode) for a in answers[:2]] == [("1\n", 0), ("a: 1 * 2\n", 0)]
    assert all(a.returncode == 1 and a.stdout.startswith("(error)") for a in answers[2:])


def test_no_redis_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    port = free_port()
    answer = ask(tmp_path, port, "PING")
    assert answer.returncode == 1
    assert f"127.0.0.1:{port}" in answer.stderr
    assert answer.stderr.endswith("; is the pipeline (make start) or Redis up?\n")
