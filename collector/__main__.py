"""`python -m collector`: ask the vendors, publish raw quotes and the stream's clock."""

import asyncio
import gc
import signal

import structlog

from collector.publish import STAGE
from collector.runtime import Collector
from collector.vendors import STREAMS, VENDORS
from common.errors import Fatal, Fenced
from common.logs import configure_logging
from common.settings import Settings, load_settings

log = structlog.get_logger()


async def _main(settings: Settings) -> None:
    collector = Collector(settings, VENDORS, streams=STREAMS)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, collector.stop)
    log.info("stage.starting", redis=f"{settings.redis_host}:{settings.redis_port}", symbols=list(settings.symbols))
    gc.collect()
    gc.freeze()
    await collector.run()


def main() -> None:
    """Run until SIGTERM. SystemExit with a logged reason where it can't go on."""
    try:
        settings = load_settings(STAGE)
    except Fatal as e:
        raise SystemExit(f"collector: {e}") from e
    configure_logging(STAGE, settings)
    try:
        asyncio.run(_main(settings))
    except Fenced as e:
        log.error("stage.fenced", error=str(e))  # the message says it all; a trace would hide it
        raise SystemExit(3) from e
    except Fatal as e:
        log.critical("stage.fatal", error=str(e))
        raise SystemExit(1) from e


if __name__ == "__main__":
    main()
