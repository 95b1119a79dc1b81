"""Spread the live installation over another number of partitions: `python -m deploy.partitions 4`.

The pipeline must be stopped. The stages are run once more, without the collector, until the streams are empty; then the
state of every symbol is put into its new partition, in one transaction: whatever ends this before leaves all as it was.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from redis.exceptions import ResponseError

from common import keys
from common.clock import wall_ms
from common.command_line import whole
from common.errors import Fatal, Retryable
from common.heartbeat import RETIRED, read_pulses
from common.keys import partition_of
from common.partition_count import count_in
from common.redis_link import Link, open_link
from common.settings import Settings, load_settings
from common.symbols import SymbolTable, load_symbols
from deploy import supervise
from deploy.layout import Address, RedisPlace, live_folders
from deploy.partitions.drain import drain
from deploy.partitions.journals import readdress
from deploy.partitions.move import Move
from deploy.redis_choice import Embedded, choose, embedded_configuration

ALIVE_MS = 5_000
DRAIN_S = 300.0
REDIS_STARTS_S = 30.0


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks, and return the exit code."""
    try:
        options = parser().parse_args(arguments)
        if options.count < 1:
            raise Fatal(f"N: expected at least 1, found {options.count}")
        settings = load_settings()
        table = load_symbols(settings.symbols, settings.symbols_file)
        if supervise.is_running(live_folders(Path.cwd())):
            raise Fatal("the pipeline runs: stop it first (make stop)")
        with _redis(settings) as link:
            _move(link, settings, table, options.count)
    except (Fatal, Retryable) as e:
        print(e, file=sys.stderr)
        return 1
    return 0


def _move(link: Link, settings: Settings, table: SymbolTable, new: int) -> None:
    old = count_in(link, settings.stream_partitions)
    if old == new:
        raise Fatal(f"the data in {link.where} is spread over {old} partitions already")
    _refuse_alive(link)
    held = sorted((settings.state_dir / "dead-letters").glob("*.json"))
    print(f"settling what is in the streams of {old} partitions", flush=True)
    environment = {"STREAM_PARTITIONS": str(old), "PARTITIONS": "", "BATCH_WRITE_INTERVAL": "0.2"}
    drain(link, old, environment, settings.state_dir / "logs" / "partitions", DRAIN_S)
    if held := [path for path in held if path.exists()]:
        raise Fatal(f"{held[0]}: commands of a half-failed transaction: start the pipeline, so that they are issued")

    def place(symbol: str) -> int:
        known = table.symbols.get(symbol)
        return known.partition(new) if known is not None else partition_of(symbol, new)

    commands = Move(link, old, new, place, wall_ms()).commands()
    readdress(settings.state_dir, place)
    replies = link.exchange([("MULTI",), *commands, ("EXEC",)])[-1]
    failed = replies if isinstance(replies, ResponseError) else _first_error(cast(list[object], replies))
    if failed:
        raise Fatal(f"{link.where}: {failed}")
    print(f"{len(table.symbols)} symbols are spread over {new} partitions now.")
    print(f"Set STREAM_PARTITIONS={new} in .env, then: make start")


def _first_error(replies: Sequence[object]) -> ResponseError | None:
    return next((reply for reply in replies if isinstance(reply, ResponseError)), None)


def _refuse_alive(link: Link) -> None:
    names = cast(list[bytes], link.call("KEYS", keys.HEARTBEATS))
    bodies = [cast(bytes | None, link.call("GET", name)) for name in names]
    alive = [p for p in read_pulses(bodies) if p.status != RETIRED and wall_ms() - p.wall_ms < ALIVE_MS]
    if alive:
        named = ", ".join(pulse.instance for pulse in alive)
        raise Fatal(f"{named} had a heartbeat a moment ago: stop the pipeline (make stop)")


@contextmanager
def _redis(settings: Settings) -> Iterator[Link]:
    """Yield a link to the Redis of the settings: the one that answers, else our own, run for as long as this takes."""
    address = Address(settings.redis_host, settings.redis_port, "REDIS_HOST", "REDIS_PORT")
    place = RedisPlace(address, settings.redis_db, settings.redis_password.get_secret_value())
    chosen = choose(place, ())
    link = open_link(settings)
    if not isinstance(chosen, Embedded):
        yield link
        return
    data = (Path.cwd() / settings.state_dir / "redis").resolve()
    if not data.is_dir():
        raise Fatal(
            f"expected the data of a stopped pipeline in {data}, found none. Before the first start nothing has to be"
            " moved: set STREAM_PARTITIONS in .env, then: make start"
        )
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "redis.conf"
        configuration.touch(0o600)
        configuration.write_text(embedded_configuration(place, data))
        process = subprocess.Popen([str(chosen.binary), str(configuration)], stdout=subprocess.DEVNULL)
        try:
            _wait_until_it_answers(link)
            yield link
        finally:
            process.terminate()
            process.wait()


def _wait_until_it_answers(link: Link) -> None:
    end = time.monotonic() + REDIS_STARTS_S
    while not _answers(link):
        if time.monotonic() > end:
            raise Fatal(f"{link.where}: our own Redis does not answer after {REDIS_STARTS_S:.0f} s")
        time.sleep(0.1)


def _answers(link: Link) -> bool:
    try:
        link.call("PING")
    except Retryable:
        return False
    return True


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(prog="python -m deploy.partitions", description=__doc__)
    made.add_argument("count", type=whole("N", 4), help="over how many partitions from now on")
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
