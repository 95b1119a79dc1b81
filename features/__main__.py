"""The features process: `python -m features`."""

import sys

import structlog

from common.errors import Fatal
from common.logs import configure_logging
from common.loop import run_stage
from common.metrics import Metrics
from common.settings import load_settings
from features.stage import make_spec

STAGE = "features"

log = structlog.get_logger()


def main() -> None:
    """Run until told to stop. SystemExit with a logged reason where the settings or the symbol table are wrong."""
    try:
        settings = load_settings(STAGE)
    except Fatal as e:
        sys.exit(str(e))
    configure_logging(STAGE, settings)
    metrics = Metrics(STAGE)
    try:
        spec = make_spec(settings, metrics)
    except Fatal as e:
        log.critical("stage.fatal", stage=STAGE, error=str(e))
        sys.exit(1)
    run_stage(spec, settings, metrics)


if __name__ == "__main__":
    main()
