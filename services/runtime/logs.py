"""Structured logs, redacted by construction: JSON lines of a constant event and allow-listed keys."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import FilteringBoundLogger

Log = FilteringBoundLogger

_FRAME = ("event", "level", "timestamp", "service", "deployment", "dropped_keys")
_CALLS = ("method", "code", "reason", "fields", "duration_ms", "caller", "trace_id", "waiting_for")
_FAILURES = ("exception", "exception_causes", "locations", "library", "location", "attempt")
_WORK = ("job", "outcome", "state", "address", "count", "bytes", "seconds", "remedy", "revision")
_DATA = ("day", "slot", "notice_version", "item", "category")
KEYS: Final = frozenset((*_FRAME, *_CALLS, *_FAILURES, *_WORK, *_DATA))
"""All that a line may say: nothing that holds an end user's value, or names a person, session or record."""

_MAX_TEXT: Final = 300
_MAX_CHAIN: Final = 8
_MAX_FRAMES: Final = 20


def configure(
    *, service: str, deployment: str, level: str, stream: TextIO | None = None, keys: Iterable[str] = ()
) -> Log:
    """Sends every log of the process to `stream` (standard output); returns the service's logger.

    `keys` allows more keys than KEYS. Lines of libraries are reduced to logger, place and exception type:
    what they say may quote a value, a statement or an address.
    """
    out: Any = _Lossy(stream or sys.stdout)
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


class _Lossy:
    """A stream of lines to which a full disk or a closed pipe does nothing but lose some of them.

    An error of the log must end no call, and no task that lives as long as the process.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


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
            kept["dropped_keys"] = dropped
        return kept


def _plain(value: Any) -> Any:
    """The value, if it is a plain one; of anything else only its type, as its text could hold anything."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value[:_MAX_TEXT] if isinstance(value, str) else type(value).__name__


def _describe_exception(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    error = event.pop("exc_info", None)
    if error is True:  # log.exception()
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event.update(describe(error))
    return event


def describe(error: BaseException) -> dict[str, Any]:
    """The types of an exception and of what caused it, and where each was raised.

    Never a message, an argument, a line of source or a local variable: each can hold a value.
    """
    chain = list(islice(_causes(error), _MAX_CHAIN))
    return {
        "exception": _type(error),
        "exception_causes": causes(error),
        "locations": [line for part in reversed(chain) for line in locations(part.__traceback__)],
    }


def causes(error: BaseException) -> list[str]:
    """The types of what caused an exception, the nearest first: no message, as it can hold a value."""
    return [_type(part) for part in islice(_causes(error), 1, _MAX_CHAIN)]


def locations(trace: TracebackType | None) -> list[str]:
    """`file:line function` of the innermost frames, innermost last."""
    frames = traceback.extract_tb(trace)[-_MAX_FRAMES:]
    return [f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno} {frame.name}" for frame in frames]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, the members of a group, then its cause or context, in depth."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _causes(member)
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _causes(cause)


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
