"""How a node writes its log: one JSON object a line."""

from __future__ import annotations

import logging
import sys

import structlog


def log_as_json() -> None:
    """Structured events and what libraries log, both as JSON lines on standard output; libraries from WARNING on."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, _shortened, structlog.processors.JSONRenderer(default=str)],
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processor=structlog.processors.JSONRenderer(default=str)
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _shortened(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in event.items()}
