"""Logs say only what is allowed, whatever is given to them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from services.runtime.logs import Log, configure

CANARY = "canary-4711"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = root.handlers, root.level
    yield io.StringIO()
    root.handlers, level = before[0], before[1]
    root.setLevel(level)


@pytest.fixture
def log(stream: io.StringIO) -> Log:
    return configure(service="echo", deployment="test", level="info", stream=stream, keys=["extra"])


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_keeps_allowed_keys_and_names_the_rest(log: Log, stream: io.StringIO) -> None:
    log.info("something happened", count=3, extra="fine", subject=CANARY, email=CANARY)
    (line,) = _lines(stream)
    assert (line["event"], line["count"], line["extra"], line["service"]) == (
        "something happened",
        3,
        "fine",
        "echo",
    )
    assert line["dropped_keys"] == ["email", "subject"]
    assert CANARY not in stream.getvalue()


def test_an_exception_leaves_types_and_places_only(log: Log, stream: io.StringIO) -> None:
    try:
        try:
            raise KeyError(CANARY)
        except KeyError as cause:
            raise ValueError(CANARY) from cause
    except ValueError as error:
        log.error("failed", exc_info=error)
    (line,) = _lines(stream)
    assert line["exception"] == "ValueError"
    assert line["exception_causes"] == ["KeyError"]
    assert any("test_runtime_logs.py" in place for place in line["locations"])
    assert CANARY not in stream.getvalue()


async def test_what_libraries_log_is_reduced_to_its_place(log: Log, stream: io.StringIO) -> None:
    logging.getLogger("some.library").warning("row %s, " + CANARY, CANARY)

    async def fail() -> None:
        raise ValueError(CANARY)

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": CANARY, "exception": task.exception(), "task": task})
    lines = _lines(stream)
    assert [line["library"] for line in lines] == ["some.library", "asyncio"]
    assert lines[1]["exception"] == "ValueError"
    assert CANARY not in stream.getvalue()


def test_a_long_text_is_cut(log: Log, stream: io.StringIO) -> None:
    log.info("long", extra="x" * 10_000)
    assert len(_lines(stream)[0]["extra"]) <= 300


def test_an_object_is_named_by_its_type_only(log: Log, stream: io.StringIO) -> None:
    log.info("given", extra={"name": CANARY}, fields=[b"canary-4711", None, 1.5])
    (line,) = _lines(stream)
    assert (line["extra"], line["fields"]) == ("dict", ["bytes", None, 1.5])


def test_a_groups_members_are_described_too(log: Log, stream: io.StringIO) -> None:
    try:
        raise ExceptionGroup(CANARY, [KeyError(CANARY), OSError(CANARY)])
    except ExceptionGroup:
        log.exception("failed")
    (line,) = _lines(stream)
    assert line["exception"] == "ExceptionGroup"
    assert line["exception_causes"] == ["KeyError", "OSError"]
    assert CANARY not in stream.getvalue()


def test_a_full_disk_loses_lines_and_nothing_else(stream: io.StringIO) -> None:
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - closing it fails, as it flushes
    try:
        log = configure(service="echo", deployment="test", level="info", stream=full)
        log.error("the first line does not fit", exc_info=ValueError(CANARY))
        logging.getLogger("some.library").warning("nor does this one")
    finally:
        with suppress(OSError):
            full.close()
    configure(service="echo", deployment="test", level="info", stream=stream).info("the next one does")
    assert [line["event"] for line in _lines(stream)] == ["the next one does"]
