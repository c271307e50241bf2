"""Structured logs: one sink for our code, the standard library and Pipecat's loguru.

A log call names an event and gives values by key: `log.info("call_admitted", line=number)`.
`call_id` is bound once per call with `bound_call`. Personal data goes under keys that start with
`pii_`; their values are replaced by a short mark unless `show_pii` is set.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import structlog
from loguru import logger as loguru_logger

if TYPE_CHECKING:
    from loguru import Message
    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

LogFormat = Literal["console", "json"]

# Equal values carry equal marks within one process, and no mark can be looked up in a table.
_mark_key = secrets.token_bytes(16)


def get_logger(name: str) -> FilteringBoundLogger:
    """The logger of one module; pass `__name__`."""
    return cast("FilteringBoundLogger", structlog.stdlib.get_logger(name))


@contextmanager
def bound_call(call_id: str) -> Iterator[None]:
    """Every log line written inside, also by tasks started inside, carries `call_id`."""
    with structlog.contextvars.bound_contextvars(call_id=call_id):
        yield


def mask(value: object) -> str:
    """A short stand-in for personal data: the same within one process for the same value."""
    text = str(value)
    mark = hashlib.blake2s(text.encode(), key=_mark_key, digest_size=4).hexdigest()
    return f"<{mark}, {len(text)} characters>"


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Log processor: replace the values of `pii_` keys, at any depth of mappings and lists."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: str, value: object) -> object:
    if key.startswith("pii_"):
        return mask(value) if value not in ("", None) else value
    if isinstance(value, dict):
        return {inner: _redacted(str(inner), item) for inner, item in value.items()}
    if isinstance(value, list):
        return [_redacted("", item) for item in value]
    return value


def configure_logging(
    log_format: LogFormat = "console", *, level: str = "INFO", show_pii: bool = False
) -> None:
    """Send all logs of the process to stderr in one form. May be called again to change it."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not show_pii:
        shared.append(redact)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # These two log one line per request and per revision at INFO.
    for name in ("httpx", "alembic.runtime.migration"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Below WARNING these tell the addresses of callers' machines.
    for name in ("aioice", "aiortc"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Below INFO these quote what goes over the wire and into the database: callers' words and keys.
    for name in ("websockets", "uvicorn.error", "aiosqlite", "mcp"):
        logging.getLogger(name).setLevel(logging.INFO)
    _forward_loguru()


def _renderers(log_format: LogFormat) -> list[Processor]:
    """Stack traces come without the values of variables: those may be secrets, or callers' words."""
    if log_format == "json":
        plain = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        return [
            structlog.processors.ExceptionRenderer(plain),
            structlog.processors.JSONRenderer(),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _forward_loguru() -> None:
    """Pipecat logs through loguru; below WARNING its messages may quote what callers say."""
    loguru_logger.remove()
    loguru_logger.add(_loguru_sink, level="WARNING", format="{message}", catch=False)


def _loguru_sink(message: Message) -> None:
    record: dict[str, Any] = dict(message.record)
    error = record["exception"]
    logging.getLogger(record["name"] or "loguru").log(
        record["level"].no,
        record["message"],
        exc_info=(error.type, error.value, error.traceback) if error and error.value else None,
    )
