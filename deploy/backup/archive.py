"""The file of a backup: a compressed tar of the databases, the keys of Redis, and a manifest that proves them."""

import hashlib
import io
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from common.errors import Fatal
from deploy.backup.database import Contents, contents

SUFFIX = ".tar.gz"
LEVEL = 3  # of gzip: the last tenth of size would cost ten times the time
MANIFEST, DATABASE, JOURNAL, KEYS = "manifest.json", "database.sqlite", "journal.sqlite", "redis.msgpack"
CHUNK_BYTES = 1 << 20


class Manifest(Struct, frozen=True):
    """What a backup holds, to compare with what is read back."""

    made_wall_ms: int
    mode: str
    redis_keys: int
    sha256: dict[str, str]
    """Member -> of its bytes."""
    tables: dict[str, dict[str, Contents]]
    """Database member -> table -> what it holds."""


def write(target: Path, folder: Path, manifest: Manifest) -> None:
    """Write the members that the manifest names, from a folder. The file appears under its name when it is whole."""
    beside = target.with_name(target.name + ".new")
    with tarfile.open(beside, "w:gz", compresslevel=LEVEL) as tar:
        body = msgspec.json.encode(manifest)
        head = tarfile.TarInfo(MANIFEST)
        head.size = len(body)
        tar.addfile(head, io.BytesIO(body))
        for name in manifest.sha256:
            tar.add(folder / name, arcname=name)
    beside.chmod(0o600)
    beside.replace(target)


def read(file: Path, folder: Path) -> Manifest:
    """Unpack a backup into a folder, and compare everything with its manifest. Fatal says what is damaged."""
    try:
        with tarfile.open(file, "r:gz") as tar:
            tar.extractall(folder, filter="data")
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, EOFError, tarfile.TarError, zlib.error, msgspec.DecodeError) as e:
        raise Fatal(f"{file}: expected a backup, found: {type(e).__name__}: {e}") from e
    _compare(file, folder, manifest)
    return manifest


def digests(folder: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {name: _sha256(folder / name) for name in names}


def _compare(file: Path, folder: Path, manifest: Manifest) -> None:
    for name, expected in manifest.sha256.items():
        found = _sha256(folder / name) if (folder / name).exists() else "no such file in it"
        if found != expected:
            raise Fatal(f"{file}: {name}: expected SHA-256 {expected}, found {found}")
    for name, tables in manifest.tables.items():
        _compare_tables(f"{file}: {name}", tables, contents(folder / name))


def _compare_tables(where: str, expected: Mapping[str, Contents], found: Mapping[str, Contents]) -> None:
    for table in sorted(expected.keys() | found.keys()):
        if expected.get(table) != found.get(table):
            raise Fatal(f"{where}: table {table}: expected {expected.get(table)}, found {found.get(table)}")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
