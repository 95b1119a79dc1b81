"""Put a backup in the place of what is stored, with the stages stopped for that moment, and keep what was there."""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from common.clock import wall_ms
from common.errors import Fatal
from deploy import supervise
from deploy.backup import archive, keyspace
from deploy.backup.archive import DATABASE, JOURNAL, KEYS
from deploy.backup.make import Say
from deploy.backup.place import Place
from deploy.layout import STAGES
from deploy.observer import observer_of
from deploy.supervise import Process
from deploy.watch import wait_until_ready


def restore(place: Place, file: Path, say: Say) -> None:
    """Restore a backup. Fatal, with nothing touched, if it is damaged, of the other kind of installation, or in use.

    What was there stays beside it, as *.before-<time>. The api's journal is only restored where there is none: what it
    holds was promised to a client. What ran before runs again, and works; Fatal if it doesn't within a minute.
    """
    place.database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.database.parent, prefix="restoring-") as unpacked:
        folder = Path(unpacked)
        manifest = archive.read(file, folder)
        if manifest.mode != place.folders.mode:
            raise Fatal(f"{file}: expected a backup of {place.folders.mode}, found one of {manifest.mode}")
        kept = keyspace.decode((folder / KEYS).read_bytes())
        client = keyspace.connect(place.redis)
        keyspace.prove(client, kept)
        client.close()
        stopped = _stop_stages(place, say)
        try:
            _replace(place, folder, kept, say)
        finally:
            _start_stages(place, [stage.name for stage in stopped], say)
    made = datetime.fromtimestamp(manifest.made_wall_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    say(f"restored what was stored at {made}")
    if stopped:
        _wait_until_ready(place, {stage.group for stage in stopped}, say)
    else:
        say("no stage ran, so none was started; `make start` starts them all")


def _replace(place: Place, folder: Path, kept: keyspace.Keyspace, say: Say) -> None:
    """Replace Redis first, in one transaction: what ends this after it leaves a Redis that knows less than SQLite.

    That the storer tells and heals; the other way round what Redis holds as settled would be nowhere.
    """
    mark = datetime.fromtimestamp(wall_ms() / 1000, UTC).strftime("before-%Y%m%dT%H%M%SZ")
    client = keyspace.connect(place.redis)
    aside = place.folders.data / f"redis.{mark}.msgpack"
    aside.write_bytes(keyspace.encode(keyspace.take(client)))
    aside.chmod(0o600)
    if place.database.exists():
        _close_log(place.database)
    keyspace.put(client, kept)
    client.close()
    put_aside = _replace_files(place, folder, mark)
    say(f"what was there: {' and '.join(map(str, (*put_aside, aside)))}")


def _replace_files(place: Place, folder: Path, mark: str) -> list[Path]:
    """Put the files in place, and return what the old ones are called now."""
    old = place.database.with_name(f"{place.database.name}.{mark}")
    put_aside = [place.database.rename(old)] if place.database.exists() else []
    for suffix in ("-wal", "-shm"):
        place.database.with_name(place.database.name + suffix).unlink(missing_ok=True)
    (folder / DATABASE).rename(place.database)
    if (folder / JOURNAL).exists() and not place.journal.exists():
        shutil.move(folder / JOURNAL, place.journal)
    return put_aside


def _close_log(database: Path) -> None:
    """Bring the write-ahead log into the file that is put aside: it would be of no use to the new one."""
    try:
        connection = sqlite3.connect(database)
        try:
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return  # damaged: perhaps the reason for this; it stays as it is
    if busy:
        raise Fatal(f"{database}: somebody else has it open: stop that first")


def _stop_stages(place: Place, say: Say) -> list[Process]:
    """Stop the stages that run, and return them. Redis goes on. Fatal if one doesn't end: it may be writing still."""
    try:
        found = [p for p in supervise.processes(place.folders) if p.group in STAGES and p.pid]
    except supervise.SupervisorAway:
        return []
    if found:
        say(f"stopping {', '.join(p.name for p in found)}")
        lasting = supervise.stop_stages(place.folders, set(STAGES))
        if lasting:
            _start_stages(place, [p.name for p in found if p.name not in lasting], say)
            raise Fatal(
                f"{', '.join(lasting)}: did not end within {supervise.STOP_S:g} s, so nothing was restored; once ended,"
                f" start it again with: make ctl CMD='start {' '.join(lasting)}'"
            )
    return found


def _start_stages(place: Place, names: Sequence[str], say: Say) -> None:
    if names:
        say(f"starting {', '.join(names)}")
        supervise.start_stages(place.folders, names)


def _wait_until_ready(place: Place, started: Collection[str], say: Say) -> None:
    if "api" not in started:
        return  # nobody else knows
    began, folders = time.monotonic(), place.folders
    stages = [stage for stage in STAGES if stage in started]
    ready = wait_until_ready(observer_of(folders), lambda: supervise.is_running(folders), say, stages)
    took_s = time.monotonic() - began
    if not ready:
        raise Fatal(f"not all ready after {took_s:.0f} s; they go on trying; why: {folders.logs}")
    say(f"ready in {took_s:.1f} s")
