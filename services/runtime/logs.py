"""Structured logs, redacted by construction: JSON lines with a constant event and allow-listed keys, and
nothing else.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable, MutableMapping
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

Log = FilteringBoundLogger

KEYS: Final = frozenset(
    [
        "event",
        "level",
        "timestamp",
        "service",
        "deployment",
        "environment",
        "version",
        "method",
        "code",
        "reason",
        "duration_ms",
        "caller",
        "trace_id",
        "span_id",
        "exception",
        "exception_causes",
        "locations",
        "library",
        "location",
        "sqlstate",
        "fields",
        "job",
        "count",
        "outcome",
        "state",
        "port",
        "address",
        "seconds",
        "attempt",
        "remedy",
        "day",
        "slot",
        "bytes",
        "revision",
        "notice_version",
        "item",
        "category",
    ]
)
"""All that a log line may say. None can hold an end user's value: ids of people, subjects, sessions and
records are not here.
"""

_MAX_TEXT: Final = 300
_DROPPED: Final = "dropped_keys"


def configure(
    *, service: str, deployment: str, level: str, stream: TextIO | None = None, keys: Iterable[str] = ()
) -> Log:
    """Sends every log of the process as JSON lines to `stream` (standard output), and returns the service's
    logger.

    `keys` allows more keys than KEYS. Lines of libraries are reduced to logger, place and exception type:
    what they say may quote a value, a statement or an address.
    """
    out = stream or sys.stdout
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = _LibraryHandler(structlog.wrap_logger(structlog.WriteLogger(out), processors=_processors(KEYS)))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.WARNING))
    logger: Log = structlog.wrap_logger(
        structlog.WriteLogger(out),
        processors=_processors(KEYS | frozenset(keys)),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        service=service,
        deployment=deployment,
    )
    return logger


def _processors(keys: frozenset[str]) -> list[Any]:
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _describe_exception,
        _Allow(keys),
        structlog.processors.JSONRenderer(),
    ]


class _Allow:
    """Keeps allow-listed keys with plain values, and names what it dropped."""

    def __init__(self, keys: frozenset[str]) -> None:
        self._keys = keys

    def __call__(self, _logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        kept = {key: _plain(value) for key, value in event.items() if key in self._keys}
        dropped = sorted(event.keys() - kept.keys())
        if dropped:
            kept[_DROPPED] = dropped
        return kept


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value)[:_MAX_TEXT]


def _describe_exception(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        event.update(describe(error))
    return event


def describe(error: BaseException) -> dict[str, Any]:
    """The types of an exception and its causes, and where each was raised; never a message, an argument or
    a local variable.
    """
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 8:
        chain.append(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return {
        "exception": _type(error),
        "exception_causes": [_type(part) for part in chain[1:]],
        "locations": [line for part in reversed(chain) for line in locations(part.__traceback__)],
    }


def locations(trace: TracebackType | None) -> list[str]:
    """`file:line function` of each frame, outermost first, without source text or values."""
    frames = traceback.extract_tb(trace)
    return [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames][-20:]


def _short(path: str) -> str:
    for marker in ("/site-packages/", "/services/", "/protos/"):
        head, found, tail = path.rpartition(marker)
        if found:
            return (marker.strip("/") + "/" if marker == "/services/" else "") + tail if head else path
    return path.rsplit("/", 1)[-1]


def _type(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _LibraryHandler(logging.Handler):
    """Reduces a record of the standard library's logging to what cannot hold a value."""

    def __init__(self, logger: Any) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._logger.bind(library=record.name, location=f"{record.module}:{record.lineno}").log(
            record.levelno, "a library reports", exc_info=error
        )
