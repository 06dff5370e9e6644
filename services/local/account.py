"""Which account PostgreSQL runs under: it refuses uid 0.

Without root there is nothing to do. As root, the server runs in a user namespace in which root's own
files belong to an ordinary uid: no file changes hands. Where namespaces are forbidden it runs as
`nobody`, which then owns the data directory.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
from pathlib import Path

from services.local.errors import LocalError
from services.local.process import Process, Unprivileged


async def server_account(directory: Path, program: str) -> Unprivileged | None:
    """How a server that refuses uid 0 can run `program` with its files below `directory`; None: as we are.

    Raises:
        LocalError: we are root and neither way works.
    """
    if os.geteuid() != 0:
        return None
    if await _works("namespace", directory, program):
        return "namespace"
    if await _works("nobody", directory, program):
        return "nobody"
    raise LocalError(
        "PostgreSQL refuses to run as root, and here neither a user namespace nor the account nobody works.",
        "Run as an ordinary user, or allow user namespaces (sysctl user.max_user_namespaces), "
        f"or let the account nobody reach {directory} and {program}.",
    )


def take_over(directory: Path, account: Unprivileged | None) -> None:
    """Give `directory` to the account that the server will run under."""
    if account == "nobody":
        entry = pwd.getpwnam("nobody")
        os.chown(directory, entry.pw_uid, entry.pw_gid)


async def _works(way: Unprivileged, directory: Path, program: str) -> bool:
    """Try it: the program must start, and the account must reach the directory."""
    shell = shutil.which("sh") or "/bin/sh"
    probe = Process(
        [shell, "-c", 'cd "$0" && exec "$1" --version', str(directory), program],
        log=Path(os.devnull),
        unprivileged=way,
    )
    await probe.start()
    return await asyncio.wait_for(probe.wait(), 30) == 0
