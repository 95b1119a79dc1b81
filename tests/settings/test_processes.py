"""What the variables of the api and of a process do, seen from outside real processes."""

import http.client
import sqlite3
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from common import keys
from common.keys import BARS, FIELD
from common.messages import Bars, encode
from deploy.awake import cores
from deploy.layout import live_layout
from tests.conftest import RedisServer
from tests.settings.processes import process_running
from tests.settings.proof import Given, proves
from tests.settings.serving import api_over
from tests.storer.values import bar
from tests.support import free_port, wait_until
from tests.support_cores import needs_unlimited_cores

NAME = "storer_07"


def status_of(host: str, port: int, path: str, token: str = "") -> int | None:
    """Return the status of a GET; None if nobody listens there."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {token}"} if token else {})
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


@proves("API_HOST", "API_PORT", "API_TOKEN")
def test_the_api_listens_at_its_address_and_asks_for_its_token(given: Given, tmp_path: Path) -> None:
    host, port = "127.0.0.3", free_port()
    given(API_HOST=host, API_PORT=port, API_TOKEN="token of the tests")
    with process_running("api", tmp_path):
        wait_until(lambda: status_of(host, port, "/livez") == 200, 15, "the api to answer")
        assert status_of("127.0.0.1", port, "/livez") is None
        assert status_of(host, port, "/api/symbols") == 401
        assert status_of(host, port, "/api/symbols", "another") == 401
        assert status_of(host, port, "/api/symbols", "token of the tests") == 200


async def test_without_a_token_nobody_is_asked_for_one(given: Given) -> None:
    async with api_over(given()) as (client, _):
        assert (await client.get("/api/symbols")).status_code == 200


@proves("API_HOST", "API_PORT")
@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.3", "http://127.0.0.3:8765"), ("::1", "http://[::1]:8765"), ("::", "http://127.0.0.1:8765")],
)
def test_a_start_looks_for_the_api_at_its_address(given: Given, tmp_path: Path, host: str, url: str) -> None:
    given(API_HOST=host, API_PORT=8765, API_TOKEN="token of the tests")
    assert live_layout(tmp_path, {}).api_url == url


@proves("DATABASE_PATH", "SUPERVISOR_PROCESS_NAME", "REDIS_DB")
async def test_the_storer_writes_into_its_file_under_its_own_name(
    given: Given, redis_server: RedisServer, tmp_path: Path
) -> None:
    path = tmp_path / "deep" / "er" / "bars.db"
    variables = {"DATABASE_PATH": path, "SYMBOLS": "XAUUSD", "BATCH_WRITE_INTERVAL": 0.05}
    given(**variables, REDIS_DB=3, SUPERVISOR_PROCESS_NAME=NAME)
    client = redis.Redis(host=redis_server.host, port=redis_server.port, db=3, protocol=2)
    future = bar(0, source_class="comex_gold_future")
    client.xadd(BARS.key(0), {FIELD: encode(Bars(bars=(future,)))})
    with process_running("storer", tmp_path):
        wait_until(lambda: rows(path) == 1, 15, "the bar in the file")
        wait_until(lambda: bool(client.exists(keys.heartbeat("storer", NAME))), 15, "its heartbeat")
        consumers = client.xinfo_consumers(BARS.key(0), "storer")
    # The stage's, whatever the process is called: another process may go on with what this one has read.
    assert [consumer["name"] for consumer in consumers] == [b"storer"]
    client.close()

    counts = {}
    for database in (path, tmp_path / "empty.db"):
        async with api_over(given(**variables | {"DATABASE_PATH": database})) as (http_client, _):
            counts[database.name] = (await http_client.get("/api/bars/XAUUSD?timeframe=1m")).json().get("count")
    assert counts == {"bars.db": 1, "empty.db": 0}


def rows(path: Path) -> int:
    """Return how many bars a database has; 0 while it is being made."""
    try:
        with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as connection:
            return int(connection.execute("SELECT count(*) FROM bars").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@proves("KEEP_CORES_AWAKE")
@needs_unlimited_cores
def test_cores_are_kept_awake_where_that_is_asked_for(given: Given, tmp_path: Path) -> None:
    for asked, kept in ((0, False), (1, True)):
        given(KEEP_CORES_AWAKE=asked)
        layout = live_layout(tmp_path, {})
        assert ("programs/awake.conf" in layout.supervised_environment(None)["MD_PROGRAMS"].split()) is kept
        assert layout.awake_cores == (len(cores()) if kept else 0)


@proves("LOG_LEVEL")
def test_a_process_says_nothing_below_its_log_level(given: Given, tmp_path: Path) -> None:
    """Both find no Redis, which is a warning; that they start is information."""
    with ExitStack() as stack:
        running = {}
        for level in ("INFO", "WARNING"):
            given(LOG_LEVEL=level, REDIS_PORT=free_port())
            running[level] = stack.enter_context(process_running("validator", tmp_path / level))
        for one in running.values():
            wait_until(lambda one=one: "redis.away" in one.text, 15, "the warning")  # type: ignore[misc]
        assert ["stage.starting" in running[level].text for level in ("INFO", "WARNING")] == [True, False]
