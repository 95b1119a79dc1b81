"""The logs: one shape for structlog and the standard library, and no secrets in any."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from pydantic import SecretStr

from common.logs import configure_logging
from common.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
KEY = 'top"se/cret ü+%'


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Undo what configure_logging does to the process."""
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level, sys.excepthook = handlers, level, hook
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_lines_are_json_with_level_stage_and_utc_time(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("validator", Settings())
    structlog.get_logger().info("stage.started", partition=0)
    (line,) = lines(capsys)
    at = datetime.fromisoformat(str(line.pop("timestamp")))
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    assert line == {"level": "INFO", "stage": "validator", "event": "stage.started", "partition": 0}


def test_level_names_are_upper_case_and_the_setting_is_the_threshold(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("x", Settings(log_level="WARNING"))
    log = structlog.get_logger()
    log.info("a")
    log.warning("b")
    log.error("c")
    log.critical("d")
    assert [(line["level"], line["event"]) for line in lines(capsys)] == [
        ("WARNING", "b"),
        ("ERROR", "c"),
        ("CRITICAL", "d"),
    ]


def test_standard_library_has_the_same_shape_and_httpx_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("api", Settings())
    logging.getLogger("redis").warning("away %s", 3)
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("httpx").info("GET https://vendor/?apikey=1")
    logging.getLogger("httpx").warning("odd")
    found = [(line["level"], line["stage"], line["logger"], line["event"]) for line in lines(capsys)]
    assert found == [
        ("WARNING", "api", "redis", "away 3"),
        ("INFO", "api", "uvicorn.error", "started"),
        ("WARNING", "api", "httpx", "odd"),
    ]


def test_secrets_are_redacted_wherever_they_stand(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("x", Settings(api_token=SecretStr(KEY), redis_password=SecretStr("pass-word")))
    log = structlog.get_logger()
    log.info(KEY, field=KEY, nested={"list": [KEY], KEY: 1}, other="pass-word", shown=repr(KEY))
    logging.getLogger("redis").error("url ?key=%s", "top%22se%2Fcret%20%C3%BC%2B%25")
    logging.getLogger("uvicorn").error(KEY)
    try:
        raise ValueError(KEY)
    except ValueError:
        log.exception("failed")
        logging.getLogger("redis").exception("failed")
    out = capsys.readouterr().out
    assert "se/cret" not in out
    assert "se%2Fcret" not in out
    assert "pass-word" not in out
    assert out.count("***") >= 9
    assert [json.loads(line)["level"] for line in out.splitlines()] == ["INFO"] + ["ERROR"] * 4


def test_uncaught_exception_is_logged_and_redacted(tmp_path: Path) -> None:
    code = (
        "from common.logs import configure_logging\nfrom common.settings import load_settings\n"
        "s = load_settings()\nconfigure_logging('x', s)\n"
        "raise RuntimeError('key=' + s.polygon_api_key.get_secret_value())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "POLYGON_API_KEY": "hunter2"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    line = json.loads(ran.stdout)
    assert (ran.returncode, line["level"], line["event"]) == (1, "CRITICAL", "process.crashed")
    assert "RuntimeError: key=***" in line["exception"]
    assert "hunter2" not in ran.stdout + ran.stderr


def test_terminal_gets_readable_lines_without_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    configure_logging("x", Settings(api_token=SecretStr("hunter2")))
    structlog.get_logger().info("stage.started", token="hunter2")
    out = capsys.readouterr().out
    assert "stage.started" in out
    assert "***" in out
    assert "hunter2" not in out
    assert not out.startswith("{")
