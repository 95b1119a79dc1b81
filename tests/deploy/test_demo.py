"""The demo as a new user starts it: all stages and the simulator, for real, on ports of its own."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import Fatal
from deploy.bring_up import empty_demo
from deploy.layout import ROOT, DemoOptions, Folders, demo_layout
from deploy.supervise import processes
from tests.support import free_port

BAD_LIVE_SETTINGS = {"REDIS_HOST": "redis.invalid", "COLLECTION_INTERVAL": "never", "POLYGON_API_KEY": "a-real-key"}


@pytest.fixture
def environment() -> dict[str, str]:
    ports = {name: str(free_port()) for name in ("DEMO_API_PORT", "DEMO_REDIS_PORT", "DEMO_SIMULATOR_PORT")}
    return {**os.environ, **BAD_LIVE_SETTINGS, **ports, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def demo(tmp_path: Path, environment: dict[str, str]) -> Iterator[str]:
    """The api's URL of a demo that was started in the background and is ready."""
    (tmp_path / ".env").write_text("NONSENSE=1\n")

    def launch(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "deploy.launch", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    started = launch("start-demo", "--speed", "20")
    assert started.returncode == 0, started.stdout + started.stderr
    yield f"http://127.0.0.1:{environment['DEMO_API_PORT']}"
    stopped = launch("stop", "--demo", "1")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr


def test_the_demo_serves_simulated_data_whatever_the_live_settings_are(demo: str, tmp_path: Path) -> None:
    with urllib.request.urlopen(f"{demo}/health") as reply:
        health = json.load(reply)

    assert health["simulated"] is True
    assert {health["components"][name]["status"] for name in ("collector", "validator", "features", "storer")} == {
        "healthy"
    }
    names = {process.name for process in processes(Folders("demo", tmp_path / "data-demo"))}
    assert names == {"redis", "simulator", "collector", "validator-0", "features-0", "storer", "api"}


def test_a_demo_takes_nothing_from_the_live_settings(tmp_path: Path) -> None:
    live = {"REDIS_PASSWORD": "p", "api_token": "t", "STREAM_PARTITIONS": "8", "LOG_LEVEL": "DEBUG", "HOME": "/h"}
    environment = demo_layout(tmp_path, live, DemoOptions()).environment

    assert (environment["HOME"], environment["LOG_LEVEL"]) == ("/h", "DEBUG")
    assert not environment.keys() & {"REDIS_PASSWORD", "api_token", "STREAM_PARTITIONS"}
    assert environment["STATE_DIR"] == str(tmp_path / "data-demo")
    assert environment["SYMBOLS"] == "NAS100,XAUUSD,EURUSD,GBPUSD,US30,US500"


def test_options_reach_the_simulator_and_the_stages(tmp_path: Path) -> None:
    elsewhere = tmp_path / "x" / "US30_c.csv"
    elsewhere.parent.mkdir()
    for file in (tmp_path / "EURUSD_a b.csv.gz", elsewhere):
        file.touch()
    options = DemoOptions(60, 0.5, "real", (Path("EURUSD_a b.csv.gz"), elsewhere), "2026-03-02T14:00:00Z", 7)
    layout = demo_layout(tmp_path, {"DEMO_SIMULATOR_PORT": "8123"}, options)

    assert layout.simulator_arguments == (
        "--port", "8123", "--speed", "60", "--seed", "7", "--interval", "0.5", "--limits", "real",
        "--data", str(tmp_path / "EURUSD_a b.csv.gz"), str(elsewhere), "--start", "2026-03-02T14:00:00Z",
    )  # fmt: skip
    assert layout.environment["SIMULATOR_URL"] == "http://127.0.0.1:8123"
    assert (layout.environment["LIMITS"], layout.environment["COLLECTION_INTERVAL"]) == ("real", "0.5")


def test_a_wrong_port_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="DEMO_API_PORT: expected a port from 1 to 65535, found 'http'"):
        demo_layout(tmp_path, {"DEMO_API_PORT": "http"}, DemoOptions())


def test_only_what_a_demo_made_is_emptied(tmp_path: Path) -> None:
    data = tmp_path / "data-demo"
    empty_demo(data)
    (data / "demo.db").touch()
    empty_demo(data)
    assert not (data / "demo.db").exists()

    precious = tmp_path / "other"
    precious.mkdir()
    (precious / "history.db").touch()
    with pytest.raises(Fatal, match="holds files that no demo made"):
        empty_demo(precious)
    assert (precious / "history.db").exists()


@pytest.mark.parametrize(
    ("options", "environment", "message"),
    [
        (DemoOptions(speed=-1), {}, "SPEED: expected 0 .* or more, found -1"),
        (DemoOptions(interval_s=0), {}, "INTERVAL: expected seconds above 0, found 0"),
        (DemoOptions(paths=(Path("nowhere.csv"),)), {}, "DATA: expected a folder or a .csv .* found 'nowhere.csv'"),
        (DemoOptions(start="yesterday"), {}, "START: expected a time such as .* found 'yesterday'"),
        (DemoOptions(), {"LOG_LEVEL": "loud"}, "LOG_LEVEL: expected one of DEBUG, .* found 'loud'"),
    ],
)
def test_a_wrong_option_stops_the_start(
    tmp_path: Path, options: DemoOptions, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(Fatal, match=message):
        demo_layout(tmp_path, environment, options)
