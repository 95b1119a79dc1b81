"""Which database is replayed, and by which settings."""

from pathlib import Path

from pydantic import ValidationError

from common.errors import Fatal
from common.settings import Settings, load_settings
from deploy import supervise
from deploy.backup.place import place_of
from deploy.layout import Folders

DECISIVE = (
    "symbols", "symbols_file", "limits", "collection_interval", "reject_score", "timeframes", "lateness",
    "max_bars_cache", "anchor_bars", "signal_expiry",
)  # fmt: skip
"""What verdicts, bars and signals depend on."""


def installation_of(home: Path, demo: bool | None, database: Path | None) -> tuple[Path, Settings]:
    """Return the database and settings of the live installation or the demo; None: of the one that runs, else live.

    database: another file, such as a copy or a backup's; the settings are the installation's all the same.
    """
    place = place_of(home, demo) if demo is not None or database is None else None
    if place is None or place.folders.mode == "live":
        settings = load_settings()
        return database or home / settings.database_path, settings
    return database or place.database, _of_the_demo(place.folders)


def _of_the_demo(folders: Folders) -> Settings:
    """Return the settings that the demo was started with: the environment and `.env` have no part in it."""
    noted = supervise.note(folders).judging
    if not noted:
        raise Fatal(f"{folders.note} does not say how the demo was started: start it anew")
    defaults = {name: Settings.model_fields[name].default for name in DECISIVE}
    chosen = {name.lower(): value for name, value in noted.items()}
    try:
        return Settings(_env_file=None, **(defaults | chosen))  # type: ignore[call-arg]  # pydantic-settings' own
    except ValidationError as e:
        raise Fatal(f"{folders.note}: {e}") from e
