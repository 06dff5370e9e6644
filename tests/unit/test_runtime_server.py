"""Starting, certificates, health, draining, and calls between services."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import os
import signal
import ssl
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from idv import channel
from idv.errors import IdvError, Reason

from services.local.authority import DevelopmentAuthority
from services.runtime import calls
from services.runtime.access import MissingRuleError
from services.runtime.bootstrap import Runtime
from services.runtime.jobs import PeriodicJob
from services.runtime.peers import Peers
from services.runtime.settings import ServiceSettings, TlsFiles
from services.runtime.start_error import StartError
from tests.echo_service import BARE_SERVICE, Echo, EchoServicer, add_echo, call
from tests.runtime_process import TENANT, Process, Signer, make_settings, running
from tests.waiting import until


async def _health(process: Process, service: str = "") -> Any:
    async with grpc.aio.insecure_channel(process.runtime.addresses["health"]) as plain:
        request = health_pb2.HealthCheckRequest(service=service)
        return (await health_pb2_grpc.HealthStub(plain).Check(request)).status


async def _stopping(process: Process) -> bool | None:
    return bool(await _health(process) != health_pb2.HealthCheckResponse.SERVING)


async def test_health_is_served_alone_on_its_own_plaintext_port(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        assert await _health(process) == health_pb2.HealthCheckResponse.SERVING
        assert (
            await _health(process, "idv.runtimetest.v1.EchoService") == health_pb2.HealthCheckResponse.SERVING
        )
        async with grpc.aio.insecure_channel(process.runtime.addresses["health"]) as plain:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(plain, "Unary", Echo(parent=TENANT))
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_plaintext_reaches_no_service(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        for kind in ("tls", "mtls"):
            async with grpc.aio.insecure_channel(process.runtime.addresses[kind]) as plain:
                with pytest.raises(grpc.aio.AioRpcError):
                    await call(plain, "Unary", Echo(parent=TENANT), timeout=2)


async def test_the_mutual_port_takes_no_client_without_certificate(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        credentials = channel.Credentials.read(process.authority.certificate)
        async with channel.aio(process.runtime.addresses["mtls"], credentials) as bare:
            with pytest.raises(IdvError) as caught:
                await call(bare, "Unary", Echo(parent=TENANT), timeout=2)
    assert caught.value.reason in (
        Reason.ERROR_REASON_UNAVAILABLE,
        Reason.ERROR_REASON_DEADLINE_EXCEEDED,
    )


async def test_a_method_without_rule_stops_the_start_and_all_are_named(tmp_path: Path) -> None:
    Signer(tmp_path / "jwks.json")
    async with Runtime.start(make_settings(tmp_path), service="echo") as runtime:
        runtime.add(add_echo, EchoServicer(), BARE_SERVICE)
        with pytest.raises(MissingRuleError, match=r"(?s)First.*Second"):
            await runtime.serve()
        assert runtime.addresses == {}


async def test_a_port_in_use_stops_the_start_and_is_named(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        taken = process.runtime.addresses["tls"]
        async with Runtime.start(make_settings(tmp_path, listen_tls=taken), service="echo") as runtime:
            with pytest.raises(StartError, match=rf"listen_tls: {taken}"):
                await runtime.serve()


def _served_serial(address: str, authority: Path) -> int:
    host, _, port = address.rpartition(":")
    pem = ssl.get_server_certificate((host, int(port)), ca_certs=str(authority), timeout=5)
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def _replace_certificate(settings: ServiceSettings, authority: DevelopmentAuthority) -> int:
    fresh = authority.service("renewed")
    fresh.certificate.replace(settings.tls.certificate)
    fresh.private_key.replace(settings.tls.private_key)
    return x509.load_pem_x509_certificate(settings.tls.certificate.read_bytes()).serial_number


async def test_a_renewed_certificate_serves_the_next_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        address = process.runtime.addresses["tls"]
        before = await asyncio.to_thread(_served_serial, address, process.authority.certificate)
        renewed = _replace_certificate(process.runtime.settings, process.authority)
        after = await asyncio.to_thread(_served_serial, address, process.authority.certificate)
        assert before != after == renewed


async def test_a_broken_renewal_leaves_the_old_certificate_serving(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as process:
        address = process.runtime.addresses["tls"]
        before = await asyncio.to_thread(_served_serial, address, process.authority.certificate)
        process.runtime.settings.tls.private_key.write_text("half a k")
        for _ in range(2):
            after = await asyncio.to_thread(_served_serial, address, process.authority.certificate)
            assert before == after
        assert capsys.readouterr().out.count("the renewed certificate cannot be used") == 1


async def test_sigterm_ends_running_calls_first(tmp_path: Path) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def wait(_request: Any) -> None:
        begun.set()
        await go.wait()

    async with running(tmp_path, wait) as process, process.customer() as client:
        pending = asyncio.create_task(call(client, "Unary", Echo(parent=TENANT, text="late")))
        await begun.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await until("the drain begins", lambda: not process.runtime.serving.is_set())
        go.set()
        assert [answer.text for answer in await pending] == ["late"]


@pytest.mark.parametrize("timeout", [None, 60.0])
async def test_a_feed_is_ended_by_the_drain_whatever_its_deadline(
    tmp_path: Path, timeout: float | None
) -> None:
    begun = asyncio.Event()

    async def hang(_request: Any) -> None:
        calls.be_feed()
        begun.set()
        await asyncio.Event().wait()

    async with running(tmp_path, hang, grace_seconds=30) as process, process.customer() as client:
        feed = asyncio.create_task(call(client, "Feed", Echo(parent=TENANT), timeout=timeout))
        await begun.wait()
        process.runtime.stop()
        with pytest.raises(IdvError) as caught:
            await asyncio.wait_for(feed, timeout=5)
    assert caught.value.reason == Reason.ERROR_REASON_UNAVAILABLE


async def test_while_draining_health_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, drain_seconds=0.5) as process:
        process.runtime.stop()
        await until("the drain begins", lambda: not process.runtime.serving.is_set())
        await until("health says so", functools.partial(_stopping, process))
        async with process.customer() as client:  # load balancers may not have looked yet
            assert await call(client, "Unary", Echo(parent=TENANT))


async def test_calls_between_services_keep_deadline_and_trace(tmp_path: Path) -> None:
    async def forward(request: Any) -> None:
        if request.text == "first":
            peer = process.runtime.channel(process.runtime.addresses["mtls"])
            await call(peer, "Unary", Echo(parent=TENANT, text="hang"))
        else:
            await asyncio.Event().wait()

    telemetry = {"directory": tmp_path, "sample_ratio": 1.0}
    async with running(tmp_path, forward, trust_domain="idv.local", telemetry=telemetry) as process:
        files = process.authority.service("friend")
        for name in ("certificate", "private_key"):  # the process calls itself, so it must be a named caller
            getattr(files, name).replace(getattr(process.runtime.settings.tls, name))
        async with process.customer() as client:
            with pytest.raises(IdvError) as caught:
                await call(client, "Unary", Echo(parent=TENANT, text="first"), timeout=1.0)
    assert caught.value.reason == Reason.ERROR_REASON_DEADLINE_EXCEEDED
    spans = [json.loads(line) for line in (tmp_path / "spans.jsonl").read_text().splitlines()]
    inner, outer = sorted(spans, key=lambda span: span["parent_id"] is None)
    assert inner["context"]["trace_id"] == outer["context"]["trace_id"]
    assert inner["parent_id"] == outer["context"]["span_id"]
    assert (tmp_path / "metrics.jsonl").read_text().count("rpc.server.calls") >= 1


async def test_a_renewed_certificate_is_shown_to_other_services(tmp_path: Path) -> None:
    async with running(tmp_path) as process:
        shown, later = process.authority.service("stranger"), process.authority.service("friend")
        files = TlsFiles.model_validate(dataclasses.asdict(shown))
        async with Peers(files, process.runtime.log, look_seconds=0.01) as peers:
            peer = peers.channel(process.runtime.addresses["mtls"])
            with pytest.raises(IdvError) as caught:
                await call(peer, "Unary", Echo(parent=TENANT))
            assert caught.value.reason == Reason.ERROR_REASON_PERMISSION_DENIED
            later.certificate.replace(shown.certificate)  # for a moment the key is another certificate's
            later.private_key.replace(shown.private_key)

            async def answered() -> bool | None:
                with suppress(IdvError):
                    return bool(await call(peer, "Unary", Echo(parent=TENANT)))
                return None

            await until("the new certificate is shown", answered)


async def test_another_services_refusal_of_us_is_not_blamed_on_our_caller(tmp_path: Path) -> None:
    async def forward(request: Any) -> None:
        if request.text == "first":  # with the certificate of `echo`, whom the rule does not name
            peer = process.runtime.channel(process.runtime.addresses["mtls"])
            await call(peer, "Unary", Echo(parent=TENANT))

    async with running(tmp_path, forward) as process, process.customer() as client:
        with pytest.raises(IdvError) as caught:
            await call(client, "Unary", Echo(parent=TENANT, text="first"))
    assert caught.value.reason == Reason.ERROR_REASON_INTERNAL


async def test_a_job_runs_at_the_start_and_survives_its_own_failure(tmp_path: Path) -> None:
    runs = asyncio.Queue[int]()
    Signer(tmp_path / "jwks.json")

    async def fail() -> None:
        await runs.put(1)
        raise ValueError("canary-4711")

    async with Runtime.start(make_settings(tmp_path), service="echo") as runtime:
        runtime.every(PeriodicJob("fails", timedelta(milliseconds=10), fail, leased=False))
        serving = asyncio.create_task(runtime.serve())
        for _ in range(3):
            await asyncio.wait_for(runs.get(), timeout=5)
        runtime.stop()
        await serving


async def test_a_leased_job_without_database_is_refused(tmp_path: Path) -> None:
    Signer(tmp_path / "jwks.json")

    async def run() -> None:
        return None

    async with Runtime.start(make_settings(tmp_path), service="echo") as runtime:
        with pytest.raises(ValueError, match="lease"):
            runtime.every(PeriodicJob("sweep", timedelta(minutes=1), run))
