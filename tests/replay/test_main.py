"""The command line: what it refuses, what it prints, its exit codes; and that nothing of the scratch Redis is left."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.json import encode
from redis.exceptions import RedisError

from common.errors import Fatal, Retryable
from common.redis_link import Link
from deploy.layout import ROOT
from deploy.supervise import Note
from replay import __main__ as command
from replay.period import END_OF_TIME_MS, duration, instant, period
from replay.record import Record
from replay.scratch import scratch_redis
from storer.schema import migrations
from tests.replay.made import LIVELY, Copy
from tests.support import wait_until

ENVIRONMENT = {
    "SYMBOLS": "EURUSD,XAUUSD", "LIMITS": "none", "TIMEFRAMES": "1s,1m", "MAX_BARS_CACHE": "1000", "ANCHOR_BARS": "100",
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder without `.env`, and the settings of the record."""
    monkeypatch.chdir(tmp_path)
    for name, value in (ENVIRONMENT | {"STRATEGIES_FILE": str(LIVELY)}).items():
        monkeypatch.setenv(name, value)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Return the exit code and what was printed on stdout and stderr."""
    code = command.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


# -- times ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1781101801000", 1_781_101_801_000),
        ("2026-06-10T14:30:01Z", 1_781_101_801_000),
        ("2026-06-10T14:30:01", 1_781_101_801_000),
        ("2026-06-10T16:30:01.000+02:00", 1_781_101_801_000),
        ("2026-06-10", 1_781_049_600_000),
    ],
)
def test_a_time_is_iso_8601_or_epoch_milliseconds(text: str, expected: int) -> None:
    assert instant("FROM", text) == expected


def test_no_time_is_the_beginning_or_the_end() -> None:
    assert period("", "") == (0, END_OF_TIME_MS)
    assert (duration("LEAD_IN", "90m"), duration("LEAD_IN", "2h")) == (5_400_000, 7_200_000)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "yesterday"], "FROM: expected a time such as 2026-06-10T14:30:00Z"),
        (["--from", "20", "--to", "10"], "FROM: expected a time before TO, found 1970-01-01T00:00:00.020Z and"),
        (["--lead-in", "soon"], "LEAD_IN: expected a duration such as 90m"),
        (["--symbols", "EURUSD,GOLD"], "SYMBOLS: expected some of EURUSD, XAUUSD; found GOLD"),
        (["--database", "nowhere.db"], "DATABASE_PATH: expected a database, found no file nowhere.db"),
        (["--database", "md.db", "--from", "2020-01-01", "--to", "2021-01-01"], "nothing is stored of this period"),
        (["--demo", "1"], "no demo was started in"),
    ],
)
def test_what_can_not_be_done_is_said_and_ends_with_2(
    here: Path, recorded: Copy, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("PRAGMA user_version = 99", f"has schema version 99, this release knows {len(migrations())}"),
        ("PRAGMA user_version = 1", f"has schema version 1, this release needs {len(migrations())}: start its storer"),
        ("PRAGMA application_id = 1", "is not a database of this application"),
    ],
)
def test_a_database_of_another_release_or_application_is_refused(recorded: Copy, change: str, said: str) -> None:
    with closing(sqlite3.connect(recorded.path)) as connection:
        connection.execute(change)
    with pytest.raises(Fatal, match=said):
        Record(recorded.path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("not a database, but long enough to look like one" * 100)
    with pytest.raises(Fatal, match="can't be read: file is not a database"):
        Record(path)


# -- runs ----------------------------------------------------------------------------------------------


def test_an_identical_period_ends_with_0_and_a_report(
    here: Path, recorded: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    before = recorded.path.read_bytes()
    code, out, err = run(capsys, "--database", recorded.path)

    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "compared: 2022-01-17T15:00:05.000Z to 2022-01-17T15:20:00.000Z"
    assert lines[1].startswith("replayed: 480 entries, 240 cycles in ")
    assert lines[-1].startswith("identical: ")
    assert recorded.path.read_bytes() == before


def test_a_difference_ends_with_1_and_is_named(here: Path, recorded: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    recorded.change("UPDATE bars SET close = 2 WHERE symbol = 'EURUSD' AND timeframe = '1m' AND origin = 'built'")
    code, out, _ = run(capsys, "--database", recorded.path)

    assert code == 1
    assert "first difference in bars, raw entry 1790000013000-1: EURUSD fx_spot 1m, opens at 1642431600000" in out
    assert "\n    close: stored 2.0, replayed 1.1" in out
    assert out.splitlines()[-1].startswith("DIFFERENT: ")


def test_what_is_not_promised_ends_with_2(here: Path, recorded: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    recorded.change("UPDATE market_data SET score = 0.1 WHERE raw_ms > 1790000200000")
    code, out, _ = run(capsys, "--database", recorded.path, "--from", "2022-01-17T15:15:00Z", "--lead-in", "10m")

    assert code == 2
    assert "note: the lead-in is shortened" in out
    assert out.splitlines()[-1].startswith("UNDECIDED: ")


def test_a_demo_is_judged_by_the_settings_that_it_was_started_with(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from replay.installation import installation_of

    judging = {"SYMBOLS": "XAUUSD,EURUSD", "LIMITS": "real", "COLLECTION_INTERVAL": "0.5"}
    (here / "data-demo" / "run").mkdir(parents=True)
    note = Note("http://127.0.0.1:8010", "127.0.0.1", 6390, 0, (0,), judging)
    (here / "data-demo" / "run" / "installation.json").write_bytes(encode(note))
    monkeypatch.setenv("LATENESS", "7")

    path, found = installation_of(here, True, None)
    assert path == here / "data-demo" / "demo.db"
    assert (found.symbols, found.limits, found.collection_interval) == (("XAUUSD", "EURUSD"), "real", 0.5)
    assert (found.lateness, found.timeframes) == (2.0, ("1s", "1m", "5m", "15m", "1h"))

    assert installation_of(here, False, None)[1].lateness == 7.0


# -- the scratch Redis ---------------------------------------------------------------------------------


def is_away(link: Link) -> bool:
    try:
        link.call("PING")
    except (Retryable, RedisError):
        return True
    return False


def test_the_scratch_redis_ends_with_what_it_is_for_whatever_happens() -> None:
    lent: list[Link] = []

    def fail() -> None:
        with scratch_redis() as link:
            lent.append(link)
            assert link.call("DBSIZE") == 0
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert is_away(lent[0])


def test_the_scratch_redis_dies_with_a_killed_replay(tmp_path: Path) -> None:
    program = (
        "import json, signal\nfrom replay.scratch import scratch_redis\nwith scratch_redis() as link:\n"
        "    link.call('PING'); print(json.dumps(int(link.call('INFO', 'server').split(b'process_id:')[1].split()[0])),"
        " flush=True); signal.pause()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert process.stdout is not None
    with process.stdout:
        pid = json.loads(process.stdout.readline())
    process.kill()
    process.wait()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 10, "the scratch Redis to end")
