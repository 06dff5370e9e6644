"""The whole stack from inside: identities, supervision, time, and one stack a directory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from idv.errors import IdvError, Reason
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub

from services.local.errors import LocalError
from services.local.layout import SERVICES
from services.local.stack import CUSTOMERS, LocalStack
from services.local.startup import TOOLS

_ABSENT = "customers/acme/sessions/0190a6f0-0000-7000-8000-000000000000"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalStack]:
    quiet = {"storage": {"telemetry": {"log_level": "warning"}}}
    async with LocalStack(tmp_path_factory.mktemp("stack"), settings=quiet) as running:
        yield running


async def _version_in_force(stack: LocalStack, *, token: str | None = None) -> int:
    async with stack.channel("notice", token=token) as notice:
        answer = await NoticeServiceStub(notice).GetNotice(notice_pb2.GetNoticeRequest())
        return int(answer.notice.version)


async def _refusal(stack: LocalStack, token: str) -> Reason.ValueType:
    """Why ingest refuses to show a session that does not exist."""
    async with stack.channel("ingest", token=token) as ingest:
        with pytest.raises(IdvError) as refused:
            await IngestServiceStub(ingest).GetSession(ingest_pb2.GetSessionRequest(name=_ABSENT))
        return refused.value.reason


async def test_a_fresh_stack_has_the_shipped_notice_in_force(stack: LocalStack) -> None:
    assert await _version_in_force(stack) == 1


async def test_tokens_of_its_customers_are_accepted_and_others_refused(stack: LocalStack) -> None:
    assert await _refusal(stack, stack.token("acme")) == Reason.ERROR_REASON_NOT_FOUND
    assert await _refusal(stack, stack.token("globex")) != Reason.ERROR_REASON_NOT_FOUND
    assert await _refusal(stack, "no.real.token") == Reason.ERROR_REASON_UNAUTHENTICATED


async def test_every_identity_has_a_certificate(stack: LocalStack) -> None:
    tools = {f"service:{name}" for name in TOOLS}
    services = {f"service:{name}" for name in SERVICES}
    assert set(stack.certificates) == tools | services | {f"customer:{name}" for name in CUSTOMERS}


async def test_travelling_moves_the_clock_of_the_services(stack: LocalStack) -> None:
    token = stack.token("acme", lifetime=timedelta(hours=1))
    before = stack.clock.now()
    after = stack.travel(by=timedelta(hours=2))
    assert timedelta(hours=2) <= after - before < timedelta(hours=2, minutes=1)
    assert await _refusal(stack, token) == Reason.ERROR_REASON_CREDENTIAL_EXPIRED
    stack.travel(by=-timedelta(hours=2))
    assert await _refusal(stack, token) == Reason.ERROR_REASON_NOT_FOUND


async def test_a_killed_service_comes_back_at_the_same_address(stack: LocalStack) -> None:
    address, before = stack.addresses["notice"], stack.processes["notice"].component.pid
    await stack.kill("notice")
    await stack.ready("notice")
    assert stack.addresses["notice"] == address
    assert stack.processes["notice"].component.pid != before
    assert await _version_in_force(stack) == 1


async def test_services_go_on_after_postgres_was_killed(stack: LocalStack) -> None:
    await stack.kill("postgres")
    await stack.ready("postgres")
    assert await _version_in_force(stack) == 1
    assert {stack.processes[name].restarts for name in ("storage", "retention")} == {0}


async def test_a_second_stack_in_the_directory_is_refused_and_harms_nothing(stack: LocalStack) -> None:
    with pytest.raises(LocalError, match="already runs"):
        async with LocalStack(stack.layout.root):
            pass
    assert await _version_in_force(stack) == 1


async def test_settings_hold_secrets_and_are_closed_to_other_users(stack: LocalStack) -> None:
    files = [stack.layout.config(service) for service in SERVICES] + [stack.layout.secrets]
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []


async def test_settings_can_differ_from_the_usual_one_by_one(stack: LocalStack) -> None:
    telemetry = yaml.safe_load(stack.layout.config("storage").read_text())["telemetry"]
    assert telemetry["log_level"] == "warning"
    assert telemetry["directory"] == str(stack.layout.telemetry("storage"))
    assert '"level": "info"' not in stack.layout.log("storage").read_text()


async def test_a_stack_that_cannot_start_stops_what_it_started(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "notice.yaml").mkdir()  # a folder where the settings file must go
    stack = LocalStack(tmp_path)
    with pytest.raises(OSError, match=r"notice\.yaml"):
        async with stack:
            pass
    assert [name for name, each in stack.processes.items() if each.component.pid is not None] == []
