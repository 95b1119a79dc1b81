"""The launcher and supervisord, for real, over stages that only wait."""

import os
import signal
import socket
from pathlib import Path
from typing import cast

from deploy.supervise import call
from tests.conftest import RedisServer
from tests.deploy.conftest import Installation, kill, wait_until_gone
from tests.support import wait_until


def test_start_returns_when_ready_and_stop_leaves_nothing(installation: Installation) -> None:
    started = installation.launch("start")
    pids = installation.pids()
    status = installation.launch("status")
    stopped = installation.launch("stop")

    assert started.returncode == 0, started.stderr
    assert "ready in" in started.stdout
    assert set(pids) == {"redis", "storer", "features-0", "validator-0", "collector", "api"}
    assert status.returncode == 0
    assert all(name in status.stdout for name in pids)
    assert (stopped.returncode, stopped.stderr) == (0, "")
    wait_until_gone(pids)
    assert installation.launch("status").returncode == 3


def test_status_fails_where_the_api_does_not_answer(installation: Installation) -> None:
    installation.launch("start")
    installation.launch("ctl", "--line", "stop api")
    status = installation.launch("status")

    assert "  the api does not answer\n" in status.stdout
    assert status.returncode == 1


def test_each_partition_gets_processes_that_are_told_which(installation: Installation) -> None:
    installation.launch("start", STREAM_PARTITIONS="4", PARTITIONS="2,3")
    names = set(installation.pids())
    log = installation.folders.logs / "validator-3.log"
    wait_until(lambda: log.read_text() == "up validator-3 3\n", what="the validator of partition 3")
    restarted = installation.launch("ctl", "--line", "restart validator")

    assert names == {
        "redis", "storer", "collector", "api", "features-2", "features-3", "validator-2", "validator-3",
    }  # fmt: skip
    assert "validator:validator-2: started" in restarted.stdout
    assert "validator:validator-3: started" in restarted.stdout


def test_a_second_start_refuses_and_disturbs_nothing(installation: Installation) -> None:
    installation.launch("start")
    before = installation.pids()
    again = installation.launch("start")

    assert again.returncode == 1
    assert "runs already" in again.stderr
    assert installation.pids() == before


def test_ctrl_c_stops_everything(installation: Installation) -> None:
    process = installation.launch_in_foreground()
    pids = installation.pids()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "stopped in" in output
    wait_until_gone(pids, 0.5)


def test_a_closed_terminal_ends_it_unless_it_was_started_with_nohup(installation: Installation) -> None:
    process = installation.launch_in_foreground("nohup")
    process.send_signal(signal.SIGHUP)
    beyond = installation.launch("status").returncode
    installation.launch("stop")
    process.communicate(timeout=30)
    closed = installation.launch_in_foreground()
    closed.send_signal(signal.SIGHUP)
    output, _ = closed.communicate(timeout=30)

    assert (beyond, process.returncode) == (0, 0)
    assert "stopped in" in output


def test_one_that_is_deaf_to_ctrl_c_says_what_ends_it(installation: Installation) -> None:
    process = installation.launch_in_foreground("env", "--ignore-signal=INT")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)

    assert "stopped in" in output
    assert installation.heard[-1] == "`make stop` stops everything.\n"


def test_stop_ends_one_that_runs_in_the_foreground(installation: Installation) -> None:
    process = installation.launch_in_foreground()
    stopped = installation.launch("stop")
    output, _ = process.communicate(timeout=30)

    assert (stopped.returncode, process.returncode) == (0, 0)
    assert "stopped from elsewhere" in output


def test_a_launcher_that_is_killed_takes_all_with_it(installation: Installation) -> None:
    process = installation.launch_in_foreground()
    pids = installation.pids()
    process.kill()

    wait_until_gone(pids, 20)


def test_no_process_outlives_a_supervisord_that_is_killed(installation: Installation) -> None:
    installation.launch("start")
    pids = installation.pids()
    supervisord = call(installation.folders, "getPID")
    assert isinstance(supervisord, int)
    kill(supervisord)

    wait_until_gone(pids)
    assert installation.launch("start").returncode == 0


def test_a_stage_that_dies_is_started_again_however_often(installation: Installation) -> None:
    installation.launch("start")
    for _ in range(2):
        before = installation.pids()["collector"]
        kill(before)
        wait_until(lambda: installation.pids()["collector"] not in (0, before), 10, "another collector")  # noqa: B023


def test_a_taken_port_is_named_with_its_variable(installation: Installation) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = installation.launch("start", API_PORT=str(port))

    assert refused.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in refused.stderr
    assert "API_PORT" in refused.stderr
    assert not installation.folders.run.exists()


def test_a_wrong_setting_stops_the_start(installation: Installation) -> None:
    refused = installation.launch("start", COLLECTION_INTERVAL="soon")

    assert refused.returncode == 1
    assert "COLLECTION_INTERVAL" in refused.stderr


def test_a_redis_that_answers_is_used_and_left_running(installation: Installation, redis_server: RedisServer) -> None:
    redis_server.client().flushall()
    started = installation.launch("start", REDIS_PORT=str(redis_server.port))
    names = set(installation.pids())
    installation.launch("stop")

    assert "the one that answers" in started.stdout
    assert "redis" not in names
    with socket.create_connection(("127.0.0.1", redis_server.port), timeout=10) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(7) == b"+PONG\r\n"


def test_a_deep_folder_gets_a_short_socket(installation: Installation) -> None:
    deep = installation.home / ("deep" * 20)
    deep.mkdir()
    started = installation.launch("start", STATE_DIR=str(deep))
    stopped = installation.launch("stop", STATE_DIR=str(deep))

    assert (started.returncode, stopped.returncode) == (0, 0), started.stderr + stopped.stderr
    assert not (deep / "run" / "supervisor.sock").exists()


def test_logs_show_every_process(installation: Installation) -> None:
    installation.launch("start")
    wait_until(lambda: "up" in Path(installation.folders.logs / "storer.log").read_text())
    shown = installation.launch("logs", "--once").stdout

    assert "storer       | up storer all" in shown
    assert "supervisord" in shown


def test_a_process_that_is_none_is_named_once(installation: Installation) -> None:
    installation.launch("start")
    before = installation.pids()
    refused = installation.launch("ctl", "--line", "restart api foo")

    known = "api, collector, features, features-0, redis, storer, validator, validator-0, all"
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"CMD: expected after restart some of {known}, found foo\n"
    assert installation.pids() == before


def test_one_process_of_a_stage_goes_by_its_own_name(installation: Installation) -> None:
    installation.launch("start")
    assert "validator:validator-0: stopped" in installation.launch("ctl", "stop", "validator-0").stdout


def test_a_word_that_fits_no_option_is_named_as_make_calls_it(installation: Installation) -> None:
    fast = installation.launch("demo", "--speed", "fast")
    torn = installation.launch("ctl", "--line", "restart 'validator")

    assert (fast.returncode, fast.stderr) == (1, "SPEED: expected a number such as 60, found 'fast'\n")
    assert (torn.returncode, torn.stderr) == (1, 'CMD: expected every quote closed, found "restart \'validator"\n')


def test_a_supervisord_that_does_not_answer_is_not_taken_for_a_stopped_one(installation: Installation) -> None:
    assert installation.launch("start").returncode == 0
    pid = cast(int, call(installation.folders, "getPID"))
    os.kill(pid, signal.SIGSTOP)
    try:
        stopped = installation.launch("stop")
        again = installation.launch("start")
    finally:
        os.kill(pid, signal.SIGCONT)

    assert (stopped.returncode, stopped.stderr.count("does not answer")) == (1, 1)
    assert "live runs already" in again.stderr
