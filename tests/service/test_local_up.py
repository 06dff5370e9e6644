"""`idv up` from outside, over the life of one directory: start, kill -9, start again, stop."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from idv import channel
from idv.channel import Credentials
from idv.notice.v1 import notice_pb2
from idv.notice.v1.notice_pb2_grpc import NoticeServiceStub

from services.local.leftovers import start_time
from services.local.ports import is_free
from services.local.ready import Ready
from tests.waiting import until


@dataclass
class Life:
    """What was seen over two runs of one directory."""

    first: Ready
    second: Ready
    first_notice: notice_pb2.Notice
    second_notice: notice_pb2.Notice
    refused: Refusal
    left_by_kill: list[str]
    """Without the object store's socket files, which the next run removes."""
    stopped_code: int
    left_by_stop: list[str]
    """With those that the first run left."""
    ready_file_after_stop: bool


@dataclass
class Refusal:
    """How a second `idv up` of a directory in use ended."""

    code: int
    output: str
    ready_file: Path

    @property
    def wrote_ready_file(self) -> bool:
        """Whether it claimed to be ready."""
        return self.ready_file.exists()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Starts, refuses a second start, is killed, starts again on what that left, and stops by SIGTERM."""
    folder = tmp_path_factory.mktemp("up")
    directory, ready_file = folder / "stack", folder / "ready.json"
    supervisor, first = await _up(directory, ready_file)
    first_notice = await _notice(first)
    refused = await _refused(directory, folder / "other.json")
    alive = {pid: start_time(pid) for pid in _pids(first)}
    supervisor.kill()
    await supervisor.wait()
    await until("every process is gone", lambda: all(start_time(pid) != alive[pid] for pid in alive))
    left_by_kill = await _left_after_kill(first)

    supervisor, second = await _up(directory, ready_file)
    second_notice = await _notice(second)
    supervisor.send_signal(signal.SIGTERM)
    stopped_code = await supervisor.wait()
    return Life(
        first=first,
        second=second,
        first_notice=first_notice,
        second_notice=second_notice,
        refused=refused,
        left_by_kill=left_by_kill,
        stopped_code=stopped_code,
        left_by_stop=_left(first) + _left(second),
        ready_file_after_stop=ready_file.exists(),
    )


async def test_the_ready_file_offers_both_customers_and_every_service(life: Life) -> None:
    assert set(life.first.tokens) == {"acme", "globex"}
    assert set(life.first.services) == {"ingest", "storage", "retention", "notice"}
    assert life.first.services["storage"].tls is None
    assert life.first_notice.version == 1


async def test_the_ready_file_is_closed_to_other_users_and_complete(life: Life) -> None:
    paths = [life.first.ca, life.first.log_public_key_file, life.first.mail.directory]
    paths += [path for files in life.first.certificates.values() for path in vars(files).values()]
    assert [path for path in paths if not path.exists()] == []
    assert life.first.log_public_key_file.read_text().strip() == life.first.log_public_key


async def test_a_second_up_is_refused_with_the_reason_and_the_remedy(life: Life) -> None:
    assert life.refused.code != 0
    assert f"process {life.first.supervisor_pid}" in " ".join(life.refused.output.split())
    assert "--dir" in life.refused.output
    assert not life.refused.wrote_ready_file


async def test_sigterm_ends_it_in_good_order_and_leaves_nothing(life: Life) -> None:
    assert life.stopped_code == 0
    assert life.left_by_stop == []
    assert not life.ready_file_after_stop


async def test_a_start_after_kill_has_the_same_data_addresses_and_keys(life: Life) -> None:
    assert life.second_notice == life.first_notice
    assert life.second.log_public_key == life.first.log_public_key
    for name, service in life.second.services.items():
        before = life.first.services[name]
        assert (service.tls, service.mtls, service.health) == (before.tls, before.mtls, before.health)


async def test_kill_of_the_supervisor_leaves_no_process_and_no_port(life: Life) -> None:
    assert life.left_by_kill == []


async def _start(directory: Path, ready_file: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services", "up", "--dir", str(directory), "--ready-file", str(ready_file)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def _refused(directory: Path, ready_file: Path) -> Refusal:
    process = await _start(directory, ready_file)
    output, _ = await process.communicate()
    return Refusal(process.returncode or 0, output.decode(), ready_file)


async def _up(directory: Path, ready_file: Path) -> tuple[asyncio.subprocess.Process, Ready]:
    supervisor = await _start(directory, ready_file)

    def written() -> bool:
        assert supervisor.returncode is None, "the supervisor ended"
        return ready_file.exists() and json.loads(ready_file.read_bytes())["supervisor_pid"] == supervisor.pid

    await until("the ready file is written", written, seconds=90)
    return supervisor, Ready.read(ready_file)


async def _notice(ready: Ready) -> notice_pb2.Notice:
    address = ready.services["notice"].tls
    assert address is not None
    async with channel.aio(address, Credentials.read(ready.ca)) as opened:
        return (await NoticeServiceStub(opened).GetNotice(notice_pb2.GetNoticeRequest())).notice


def _pids(ready: Ready) -> list[int]:
    return [ready.postgres.pid, ready.objects.pid, *(service.pid for service in ready.services.values())]


async def _left_after_kill(ready: Ready) -> list[str]:
    """What is left once the kernel has taken back what the dead processes held, sockets' files aside."""
    end = asyncio.get_running_loop().time() + 10
    while left := [each for each in _left(ready) if not each.endswith(".sock")]:
        if asyncio.get_running_loop().time() > end:
            break
        await asyncio.sleep(0.05)
    return left


def _left(ready: Ready) -> list[str]:
    """Processes, ports and shared files that the stack used and that are still there."""
    addresses = [ready.mail.address, ready.objects.endpoint, ready.objects.filer]
    for service in ready.services.values():
        addresses += [each for each in (service.tls, service.mtls, service.health) if each]
    ports = [int(address.rpartition(":")[2]) for address in addresses]
    filer = int(ready.objects.filer.rpartition(":")[2])
    sockets = [path.name for path in Path("/tmp").glob(f"seaweedfs-*-{filer + 10_000}.sock")]  # noqa: S108
    return (
        [f"process {pid}" for pid in _pids(ready) if start_time(pid) is not None]
        + [f"port {port}" for port in ports if not is_free(port)]
        + sockets
    )
