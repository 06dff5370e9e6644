"""What each port lets in: certificates of the suite's authority, TLS, and on the health port only health."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from idv import channel
from idv.channel import Credentials
from idv.errors import IdvError
from idv.storage.v1 import storage_pb2
from idv.storage.v1.storage_pb2_grpc import StorageServiceStub

from services.local.authority import DevelopmentAuthority
from services.local.stack import LocalStack
from tests import descriptors


async def code_of(opened: grpc.aio.Channel, path: str) -> grpc.StatusCode:
    """The code with which an empty request to this method is refused."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = opened.unary_unary(path)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call(b"", timeout=10)
    return refused.value.code()


async def test_a_certificate_of_another_authority_reaches_nothing(stack: LocalStack, tmp_path: Path) -> None:
    """It bears the right names, signed by a stranger."""
    foreign, own = DevelopmentAuthority(tmp_path).service("retention"), stack.certificate("service:retention")
    credentials = Credentials.read(own.authority, foreign.certificate, foreign.private_key)
    for address in stack.addresses.values():
        async with channel.aio(address.mtls, credentials) as opened:
            with pytest.raises(IdvError) as refused:
                await StorageServiceStub(opened).ListDestructions(storage_pb2.ListDestructionsRequest())
            assert refused.value.reason_name == "UNAVAILABLE"


async def test_the_plaintext_port_serves_nothing_but_health(stack: LocalStack) -> None:
    for name, address in stack.addresses.items():
        async with grpc.aio.insecure_channel(address.health) as opened:
            for offered in descriptors.services():
                if offered.file.package == f"idv.{name}.v1":
                    code = await code_of(opened, f"/{offered.full_name}/{offered.methods[0].name}")
                    assert code is grpc.StatusCode.UNIMPLEMENTED


async def test_a_tls_port_answers_nothing_in_plaintext(stack: LocalStack) -> None:
    for address in stack.addresses.values():
        for port in filter(None, (address.tls, address.mtls)):
            async with grpc.aio.insecure_channel(port) as opened:
                code = await code_of(opened, "/idv.notice.v1.NoticeService/GetNotice")
                assert code is grpc.StatusCode.UNAVAILABLE
