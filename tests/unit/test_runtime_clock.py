"""The injected clock, and periodic jobs that follow it."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from idv.errors import IdvError, Reason

from services.runtime.clock import SystemClock, TravelClock, travel
from services.runtime.jobs import JobRunner, PeriodicJob
from services.runtime.keysets import JwksKeys, KeysUnavailableError
from services.runtime.logs import configure
from services.runtime.settings import TelemetrySettings
from services.runtime.telemetry import Telemetry
from tests.runtime_process import Signer
from tests.waiting import until

DAYS = timedelta(days=30)
SLACK = timedelta(seconds=5)


def test_the_system_clock_is_aware_and_in_utc() -> None:
    assert abs(SystemClock().now() - datetime.now(UTC)) < SLACK
    assert SystemClock().now().tzinfo is UTC


def test_travel_moves_every_clock_that_reads_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "time.json"
    clocks = [TravelClock(path), TravelClock(path)]
    for offset in (timedelta(), DAYS, -DAYS, timedelta(seconds=-1.5)):
        travel(path, offset)
        for clock in clocks:
            assert abs(clock.now() - datetime.now(UTC) - offset) < SLACK
    path.unlink()
    assert abs(clocks[0].now() - datetime.now(UTC)) < SLACK


@pytest.mark.parametrize("text", ["", "{", "[]", '{"offset_seconds": "x"}', '{"other": 1}'])
def test_a_damaged_file_keeps_the_last_offset(text: str, tmp_path: Path) -> None:
    path = tmp_path / "time.json"
    travel(path, DAYS)
    clock = TravelClock(path)
    clock.now()
    path.write_text(text)
    assert abs(clock.now() - datetime.now(UTC) - DAYS) < SLACK


async def test_a_job_follows_the_injected_clock_and_not_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "time.json"
    runs = asyncio.Queue[datetime]()
    clock = TravelClock(path)

    async def run() -> None:
        await runs.put(clock.now())

    log = configure(service="echo", deployment="test", level="error", stream=io.StringIO())
    telemetry = Telemetry(TelemetrySettings(), service="echo", deployment="test")
    job = PeriodicJob("sweep", timedelta(days=1), run, leased=False)
    runner = JobRunner(job, clock, log, telemetry, None, poll_seconds=0.001)
    task = asyncio.create_task(runner.forever())
    first = await asyncio.wait_for(runs.get(), timeout=5)
    travel(path, DAYS)
    second = await asyncio.wait_for(runs.get(), timeout=5)
    assert second - first >= DAYS - SLACK
    task.cancel()
    await asyncio.wait([task])


class AwayLeases:
    """Leases in a database that is away."""

    asked = 0

    async def take(self, _job: object = None) -> bool:
        self.asked += 1
        raise IdvError(Reason.ERROR_REASON_UNAVAILABLE, "away")


class WatchedClock:
    """A clock that stands where the test sets it, and counts how often it was looked at."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 24, tzinfo=UTC)
        self.looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return self.time


async def test_a_job_that_cannot_learn_of_its_lease_asks_once_a_period() -> None:
    lines, clock, leases = io.StringIO(), WatchedClock(), AwayLeases()
    log = configure(service="echo", deployment="test", level="error", stream=lines)
    telemetry = Telemetry(TelemetrySettings(), service="echo", deployment="test")
    job = PeriodicJob("sweep", timedelta(hours=1), leases.take)  # type: ignore[arg-type]  # never run
    runner = JobRunner(job, clock, log, telemetry, leases, poll_seconds=0)  # type: ignore[arg-type]
    task = asyncio.create_task(runner.forever())
    for attempts in (1, 1, 2, 2, 3):
        looks = clock.looks
        await until("the clock is looked at", lambda: clock.looks > looks + 5)  # noqa: B023 - in this turn
        assert leases.asked == attempts
        clock.time += timedelta(minutes=30)
    assert lines.getvalue().count("a periodic job failed") == 3
    task.cancel()
    await asyncio.wait([task])


class _Jwks(BaseHTTPRequestHandler):
    document = b"{}"

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.document)

    def log_request(self, code: int | str = 0, size: int | str = 0) -> None:
        """Says nothing."""


async def test_keys_behind_a_url_are_fetched_and_kept_when_a_renewal_fails(tmp_path: Path) -> None:
    signer = Signer(tmp_path / "jwks.json")
    server = HTTPServer(("127.0.0.1", 0), _Jwks)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        keys = JwksKeys(f"http://127.0.0.1:{server.server_port}/jwks")
        assert keys.current() is None
        _Jwks.document = signer.path.read_bytes()
        await keys.refresh()
        known = keys.current()
        assert known is not None
        assert [key.kid for key in known] == ["first"]
        _Jwks.document = b"{}"
        await keys.refresh()  # too soon: the issuer is not asked
        with pytest.raises(KeysUnavailableError):
            await keys.refresh(force=True)
        assert keys.current() is known
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
