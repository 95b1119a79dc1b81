"""Run the features stage: `python -m features`."""

import structlog

from common.errors import Fatal
from common.logs import configure_logging
from common.loop import run_stage
from common.metrics import Metrics
from common.settings import load_settings
from features.stage import make_spec

STAGE = "features"


def main() -> None:
    """Run until SIGTERM. SystemExit with a logged reason where it can't start."""
    settings = load_settings(STAGE)
    configure_logging(STAGE, settings)
    metrics = Metrics(STAGE)
    try:
        spec = make_spec(settings, metrics)
    except Fatal as e:
        structlog.get_logger().critical("stage.fatal", stage=STAGE, error=str(e))
        raise SystemExit(1) from e
    run_stage(spec, settings, metrics)


if __name__ == "__main__":
    main()
