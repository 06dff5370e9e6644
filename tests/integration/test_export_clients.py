"""The clients and the command that take an export into a file: resumed, verified, and nothing left behind."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path

import pytest
from idv import aio_client, archives, client
from idv.archives import ArchiveError, PartialFile
from idv.errors import IdvError, Reason
from idv.types.v1 import data_pb2

from services.local.stack import LocalStack
from tests.integration.test_clients import HARDWARE, ITEMS, Party, selfie
from tests.integration.verification import Verification


class BrokenOffError(Exception):
    """The process ends in the middle."""


@pytest.fixture
def party(stack: LocalStack, verification: Verification) -> Party:
    """Of the Customer `acme`."""
    return Party(stack, verification)


async def test_an_export_goes_on_in_another_process_and_is_whole(party: Party, tmp_path: Path) -> None:
    file = tmp_path / "export.zip"
    async with aio_client.Gateway(*party.gateway()) as acme:
        session = await acme.open_session("exported by a client", ITEMS, party.attestation)
        for name in ("export one", "export two"):
            await session.upload(selfie(name))

        def broken_off(done: int, total: int) -> None:
            assert total > 0
            if done > 200_000:
                raise BrokenOffError

        with pytest.raises(BrokenOffError):
            await acme.export(file, subject="exported by a client", progress=broken_off)
    (partial,) = _files(tmp_path)
    received = partial.stat().st_size
    assert received > 200_000
    seen: list[int] = []
    with client.Gateway(*party.gateway()) as again:
        done = await asyncio.to_thread(
            again.export,
            file,
            subject="exported by a client",
            progress=lambda done, total: seen.append(done),
        )
    assert done == file
    assert seen[0] > received
    assert _files(tmp_path) == [file]
    assert file.stat().st_mode & 0o777 == 0o600
    assert archives.verify(file).customer == "customers/acme"


async def test_a_correction_by_the_clients(party: Party) -> None:
    right = data_pb2.ItemSet(device_hardware=data_pb2.DeviceHardware(model="E-18"))
    async with aio_client.Gateway(*party.gateway()) as acme:
        session = await acme.open_session("corrected by a client", ITEMS, party.attestation)
        address, name, token = party.address("ingest"), session.name, session.token
        async with aio_client.Session.connect(address, party.authority, name, token) as sdk:
            (wrong,) = await sdk.submit(HARDWARE)
        answer = await acme.correct(wrong.name, right)
        assert answer.record.supersedes == wrong.name
    with client.Gateway(*party.gateway()) as again, pytest.raises(IdvError) as refused:
        await asyncio.to_thread(again.correct, wrong.name, right)
    assert refused.value.reason == Reason.ERROR_REASON_ERASED


def test_an_altered_or_shortened_archive_is_told(tmp_path: Path) -> None:
    file = tmp_path / "export.zip"
    for content in (b"", b"PK", b"no archive"):
        file.write_bytes(content)
        with pytest.raises(ArchiveError):
            archives.verify(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.json", "{}")
        archive.writestr(
            "manifest.json",
            '{"customer": "customers/acme", "request_id": "r", "as_of_time": "t",'
            f' "entries": [{{"path": "a.json", "size": 2, "sha256": "{"0" * 64}"}}]}}',
        )
    with pytest.raises(ArchiveError, match=r"a\.json"):
        archives.verify(file)


def test_a_partial_file_that_got_nothing_leaves_nothing(tmp_path: Path) -> None:
    PartialFile.begin(tmp_path / "export.zip").keep()
    assert not list(tmp_path.iterdir())


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())
