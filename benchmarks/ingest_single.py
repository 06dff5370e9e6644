"""`ingest_single`: one small record a call, acknowledged once durable, beside an echo through two bare
services.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import grpc
from idv.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from idv.types.v1 import data_pb2

from benchmarks.bare_echo import UNARY
from benchmarks.bare_pair import bare_pair
from benchmarks.load import rate
from benchmarks.rounds import Result, interleave, median
from benchmarks.sessions import OpenSession, open_session
from services.local.stack import LocalStack

IN_FLIGHT = 32
CALLS = 2_000
TARGET = 0.5
SESSIONS = 16


def hardware() -> data_pb2.DeviceHardware:
    """Device data of an ordinary size: some 400 bytes."""
    return data_pb2.DeviceHardware(
        manufacturer="Example",
        brand="Example",
        device_type="phone",
        model="Example 12 Pro",
        operating_system="Example OS 17.4.1",
        memory_bytes=8 << 30,
        storage_bytes=256 << 30,
        battery_percent=81,
        screen_width=1179,
        screen_height=2556,
        cpu="example-a17 6 cores",
        time_zone="Europe/Madrid",
        language="es-ES",
        kernel="23.4.0 example-kernel-version-string",
        sensors=[f"sensor-{number:02}" for number in range(16)],
    )


def request(session: OpenSession) -> ingest_pb2.SubmitItemsRequest:
    """One record for a session, as an SDK sends it."""
    return ingest_pb2.SubmitItemsRequest(
        session=session.name,
        request_id=str(uuid.uuid4()),
        items=data_pb2.ItemSet(device_hardware=hardware()),
    )


async def measure(stack: LocalStack, rounds: int, progress: Callable[[str], None]) -> Result:
    """Runs both in turn, 32 calls in flight each."""
    async with (
        bare_pair(stack, SESSIONS) as bare,
        stack.channel("ingest", token=stack.token("acme")) as ingest,
    ):
        echoes: list[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = [
            channel.unary_unary(UNARY) for channel in bare
        ]
        body = request(OpenSession("", "")).SerializeToString()
        sessions = [await open_session(stack, ingest) for _ in range(SESSIONS)]
        channels = [stack.channel("ingest", token=session.token) for session in sessions]

        async def ours() -> float:
            stubs = [ingest_pb2_grpc.IngestServiceStub(channel) for channel in channels]
            requests = [request(sessions[number % SESSIONS]) for number in range(CALLS)]
            return await rate(
                lambda number: stubs[number % SESSIONS].SubmitItems(requests[number]),
                calls=CALLS,
                in_flight=IN_FLIGHT,
            )

        async def limit() -> float:
            return await rate(
                lambda number: _echo(echoes[number % SESSIONS], body), calls=CALLS, in_flight=IN_FLIGHT
            )

        try:
            seen = await interleave(rounds, ours, limit, progress=progress)
        finally:
            for channel in channels:
                await channel.close()
    ratios = [mine / bound for mine, bound in seen]
    return Result(
        name="ingest_single",
        ours=median([mine for mine, _ in seen]),
        bare=median([bound for _, bound in seen]),
        ratio=median(ratios),
        target=TARGET,
        unit="calls/s",
        lowest=min(ratios),
        highest=max(ratios),
        rounds=len(seen),
        held=median(ratios) >= TARGET,
        about=f"one record of {len(body)} bytes a call, {IN_FLIGHT} in flight over {SESSIONS} connections, "
        "upload tokens checked, "
        "sealed, committed and "
        "acknowledged; beside an echo of as many bytes through two bare gRPC services over mutual TLS.",
    )


async def _echo(echo: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], body: bytes) -> bytes:
    answer: bytes = await echo(body)
    return answer
