"""Where an installation keeps what a backup copies."""

from dataclasses import dataclass
from pathlib import Path

from common.errors import Fatal
from common.settings import load_settings
from deploy import supervise
from deploy.layout import Address, Folders, RedisPlace, demo_folders, live_folders

JOURNAL_FILE = "api-journal.db"
DEMO_DATABASE = "demo.db"


@dataclass(frozen=True)
class Place:
    """One installation, as a backup sees it."""

    folders: Folders
    database: Path
    redis: RedisPlace

    @property
    def journal(self) -> Path:
        """What the api accepted and may not have handed on yet."""
        return self.folders.data / JOURNAL_FILE

    @property
    def backups(self) -> Path:
        return self.folders.data / "backups"


def place_of(home: Path, demo: bool | None) -> Place:
    """Return the live installation or the demo; None: the one that runs, else the live one."""
    if demo is None:
        demo = not supervise.is_running(live_folders(home)) and supervise.is_running(demo_folders(home))
    return _demo(demo_folders(home)) if demo else _live(home)


def _live(home: Path) -> Place:
    settings = load_settings()
    address = Address(settings.redis_host, settings.redis_port, "REDIS_HOST", "REDIS_PORT")
    redis = RedisPlace(address, settings.redis_db, settings.redis_password.get_secret_value())
    return Place(live_folders(home), (home / settings.database_path).resolve(), redis)


def _demo(folders: Folders) -> Place:
    if not folders.note.exists():
        raise Fatal(f"no demo was started in {folders.data} yet")
    noted = supervise.note(folders)
    address = Address(noted.redis_host, noted.redis_port, "", "DEMO_REDIS_PORT")
    return Place(folders, folders.data / DEMO_DATABASE, RedisPlace(address, noted.redis_db, ""))
