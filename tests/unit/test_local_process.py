"""Processes of the local stack: bound to their parent, known beyond their pid, one supervisor a directory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from services.local import ports
from services.local.errors import LocalError
from services.local.leftovers import end_process, end_recorded, record, recorded, start_time
from services.local.locking import DirectoryLock
from services.local.process import Process
from tests.waiting import until

_SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]

_PARENT = """
import asyncio, sys
from pathlib import Path
from services.local.process import Process

async def main():
    child = Process([sys.executable, "-c", "import time; time.sleep(600)"], log=Path(sys.argv[1]))
    await child.start()
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


async def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT, str(tmp_path / "log")), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    started = start_time(child)
    parent.kill()
    await parent.wait()
    await until("the child ends", lambda: start_time(child) != started)


async def test_a_stopped_process_ends_with_its_whole_group(tmp_path: Path) -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    process = Process([sys.executable, "-c", script], log=tmp_path / "log")
    await process.start()
    assert process.pid is not None
    group = process.pid
    await until("the grandchild runs", lambda: len(_members(group)) == 2)
    await process.kill()
    await until("the group is empty", lambda: not _members(group))


async def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); "
        "time.sleep(600)"
    )
    process = Process([sys.executable, "-c", script], log=tmp_path / "log")
    await process.start()
    await until("it is deaf", lambda: "deaf" in process.log_tail())
    await process.stop(grace_seconds=0.1)
    assert process.returncode == -signal.SIGKILL


async def test_processes_write_no_core_dumps_and_private_files(tmp_path: Path) -> None:
    script = "import os, resource; print(resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)))"
    process = Process([sys.executable, "-c", script], log=tmp_path / "log")
    await process.start()
    assert await process.wait() == 0
    assert process.log_tail() == "(0, 0) 0o77"


async def test_a_missing_program_is_named(tmp_path: Path) -> None:
    process = Process(["/nowhere/weed"], log=tmp_path / "log")
    await process.start()
    assert await process.wait() == 126
    assert "cannot start /nowhere/weed" in process.log_tail()


async def test_a_recorded_process_is_ended_and_its_record_removed(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    process = await asyncio.create_subprocess_exec(*_SLEEPER, start_new_session=True)
    record(path, process.pid)
    await end_recorded(path)
    assert await process.wait() == -signal.SIGKILL
    assert not path.exists()


async def test_a_pid_that_another_process_has_now_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    process = await asyncio.create_subprocess_exec(*_SLEEPER, start_new_session=True)
    started = start_time(process.pid)
    assert started is not None
    path.write_text(json.dumps({"pid": process.pid, "start_time": started - 1}))
    assert recorded(path) is None
    await end_recorded(path)
    assert start_time(process.pid) == started
    await end_process(process.pid, signal.SIGKILL)
    await process.wait()


def test_the_start_time_of_a_process_that_is_gone_is_none() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        assert start_time(process.pid) is None


def test_a_locked_directory_refuses_a_second_holder_and_names_the_first(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path / "lock")
    with pytest.raises(LocalError, match=rf"already runs in .* \(process {os.getpid()}\)"):
        DirectoryLock(tmp_path / "lock")
    lock.release()
    DirectoryLock(tmp_path / "lock").release()


def test_a_directory_keeps_its_ports_unless_they_are_taken(tmp_path: Path) -> None:
    book = ports.PortBook(tmp_path / "ports.json")
    first, second = book.port("first"), book.port("second")
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, second))
        taken.listen()
        again = ports.PortBook(tmp_path / "ports.json")
        assert again.port("first") == first
        assert again.port("second") != second


def test_no_port_is_handed_out_twice() -> None:
    handed = [ports.free_port() for _ in range(50)]
    assert len(set(handed)) == 50


def _members(group: int) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if start_time(pid) is not None and _group(pid) == group]


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None
