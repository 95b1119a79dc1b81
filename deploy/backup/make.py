"""Make a backup while the pipeline runs, prove it by reading it back, and delete old ones."""

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from common.clock import wall_ms
from deploy.backup import archive, database, keyspace
from deploy.backup.archive import DATABASE, JOURNAL, KEYS, SUFFIX, Manifest
from deploy.backup.place import Place

Say = Callable[[str], None]

MEGABYTE = 1_000_000
LEAST_SAID_BYTES = 100 * MEGABYTE  # a smaller copy is over before it can be told of


def make(place: Place, keep: int, say: Say) -> Path:
    """Return the file of a new backup, of which the newest `keep` stay. Fatal if it can't be made or proves unsound.

    Redis comes first: whatever the storer had acknowledged by then is in the database, which is copied after it, and
    all else is still in the streams.
    """
    now_ms = wall_ms()
    name = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    target = place.backups / f"{place.folders.mode}-{name}{SUFFIX}"
    keys = _keys_of(place)
    database.require(place.database)  # before a folder is made for nothing
    place.backups.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.backups, prefix="making-") as made:
        folder = Path(made)
        (folder / KEYS).write_bytes(keyspace.encode(keys))
        members = _collect(place, folder, say)
        tables = {member: database.contents(folder / member) for member in members if member != KEYS}
        manifest = Manifest(now_ms, place.folders.mode, len(keys), archive.digests(folder, members), tables)
        archive.write(target, folder, manifest)
    prove(target, say)
    for old in backups_of(place)[keep:]:
        old.unlink()
        say(f"deleted {old.name}, older than the newest {keep}")
    return target


def prove(file: Path, say: Say) -> Manifest:
    """Unpack a backup, and compare everything in it with its manifest. Fatal says what is off."""
    with tempfile.TemporaryDirectory(dir=file.parent, prefix="proving-") as unpacked:
        manifest = archive.read(file, Path(unpacked))
    rows = sum(table.rows for tables in manifest.tables.values() for table in tables.values())
    size_mb = file.stat().st_size / MEGABYTE
    say(f"{file}: {size_mb:.1f} MB, {rows} rows and {manifest.redis_keys} keys, read back and compared")
    return manifest


def backups_of(place: Place) -> list[Path]:
    """Return the installation's backups, newest first."""
    return sorted(place.backups.glob(f"{place.folders.mode}-*{SUFFIX}"), reverse=True)


def _keys_of(place: Place) -> keyspace.Keyspace:
    client = keyspace.connect(place.redis)
    taken = keyspace.take(client)
    client.close()
    return taken


def _collect(place: Place, folder: Path, say: Say) -> tuple[str, ...]:
    """Copy the databases beside the keys, and return what there is then."""
    database.copy(place.database, folder / DATABASE, _Progress(place.database.name, say))
    if not place.journal.exists():
        return (KEYS, DATABASE)
    database.copy(place.journal, folder / JOURNAL, _Progress(place.journal.name, say))
    return (KEYS, DATABASE, JOURNAL)


class _Progress:
    """Says each tenth of a large copy."""

    def __init__(self, name: str, say: Say) -> None:
        self._name, self._say, self._tenths = name, say, 0

    def __call__(self, done_bytes: int, all_bytes: int) -> None:
        tenths = 10 * done_bytes // all_bytes if all_bytes >= LEAST_SAID_BYTES else 0
        if tenths > self._tenths:
            self._tenths = tenths
            self._say(f"copying {self._name}: {tenths * 10} % of {all_bytes / MEGABYTE:.0f} MB")
