"""The validator process: `python -m validator`."""

import sys

from common.errors import Fatal
from common.logs import configure_logging
from common.loop import run_stage
from common.metrics import Metrics
from common.settings import load_settings
from common.symbols import load_symbols
from validator.memory import STAGE
from validator.stage import validator_spec


def main() -> None:
    """Run until told to stop. SystemExit with the reason where the settings are wrong."""
    try:
        settings = load_settings(STAGE)
        table = load_symbols(settings.symbols, settings.symbols_file)
    except Fatal as e:
        sys.exit(str(e))
    configure_logging(STAGE, settings)
    metrics = Metrics(STAGE)
    run_stage(validator_spec(table, settings, metrics), settings, metrics)


if __name__ == "__main__":
    main()
