"""The storer process: `python -m storer`."""

import sys

import structlog

from common.errors import Fatal, Retryable
from common.logs import configure_logging
from common.loop import run_stage
from common.metrics import Metrics
from common.settings import load_settings
from common.symbols import load_symbols
from storer.database import Database
from storer.stage import STAGE, storer_spec

log = structlog.get_logger()


def main() -> None:
    """Run until told to stop. SystemExit with a logged reason where the settings or the database are wrong."""
    try:
        settings = load_settings(STAGE)
        table = load_symbols(settings.symbols, settings.symbols_file)
    except Fatal as e:
        sys.exit(str(e))
    configure_logging(STAGE, settings)
    database = Database(settings.database_path)
    try:
        database.connection()
    except Retryable as e:  # a full disk at a restart must not end what heals by itself
        log.warning("database.away", error=str(e))
    except Fatal as e:
        log.critical("stage.fatal", stage=STAGE, error=str(e))
        sys.exit(1)
    metrics = Metrics(STAGE)
    try:
        run_stage(storer_spec(database, settings, metrics, table), settings, metrics)
    finally:
        database.close()


if __name__ == "__main__":
    main()
