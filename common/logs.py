"""Logging, wired once: structlog and the standard library through one formatter, without secrets."""

import json
import logging
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from urllib.parse import quote, quote_plus

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from common.settings import Settings

QUIET = ("httpx", "httpcore", "websockets", "asyncio")
"""Libraries whose information is noise (httpx logs each URL, keys included): warnings only."""


def configure_logging(stage: str, settings: Settings) -> None:
    """Send every log of this process to stdout: JSON lines, or readable lines on a terminal.

    Uncaught exceptions are logged too, so that they are redacted. Call once, before anything logs. uvicorn must be
    told not to configure logging itself (log_config=None).
    """
    common: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _upper_case_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Stage(stage),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_RedactingFormatter(settings.secrets(), common, terminal=sys.stdout.isatty()))
    _wire_standard_library(handler, settings.log_level)


def _wire_standard_library(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Renders a record as one line and takes the secrets out of the finished line: nothing can slip past it."""

    def __init__(self, secrets: Iterable[str], foreign_chain: list[Processor], terminal: bool) -> None:
        render: Processor = (
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if terminal
            else structlog.processors.JSONRenderer()
        )
        super().__init__(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _ordered, render],
            foreign_pre_chain=[_logger_name, *foreign_chain],
        )
        self._spellings = _spellings(secrets)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for spelling in self._spellings:
            line = line.replace(spelling, "***")
        return line


def _spellings(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return how the secrets may look in a line (as they are, in a URL, in a repr, escaped in JSON), longest first."""
    found: set[str] = set()
    for secret in secrets:
        for text in (secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]):
            found |= {text, json.dumps(text)[1:-1]}
    return tuple(sorted(found, key=len, reverse=True))


class _Stage:
    def __init__(self, stage: str) -> None:
        self._stage = stage

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("stage", self._stage)
        return event


def _upper_case_level(_logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    event["level"] = {"warn": "WARNING", "exception": "ERROR", "fatal": "CRITICAL"}.get(method, method.upper())
    return event


def _logger_name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        event["logger"] = record.name
    return event


def _ordered(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    first = ("timestamp", "level", "stage", "event")
    return {**{name: event[name] for name in first if name in event}, **event}


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("process.crashed", exc_info=(kind, error, trace))
