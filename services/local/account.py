"""Which account PostgreSQL runs under: it refuses uid 0.

Without root there is nothing to do. As root, the server runs in a user namespace in which root's own files
belong to an ordinary uid: no file changes hands. Where namespaces are closed it runs as `nobody`, which then
owns the server's directory.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
from pathlib import Path

from services.local.errors import LocalError
from services.local.process import Process, Unprivileged

_NOBODY = "nobody"


async def server_account(directory: Path, program: str) -> Unprivileged | None:
    """How a server that refuses uid 0 can run `program` with its files below `directory`; None: as we are.

    Raises:
        LocalError: we are root and neither way works.
    """
    if os.geteuid() != 0:
        return None
    if not _belongs_to_nobody(directory) and await _works("namespace", directory, program):
        return "namespace"
    _hand_over(directory, _NOBODY)
    if await _works("nobody", directory, program):
        return "nobody"
    _hand_over(directory, "root")
    raise LocalError(
        "PostgreSQL refuses to run as root, and here neither a user namespace nor the account nobody works.",
        "Run as an ordinary user, or allow user namespaces (sysctl user.max_user_namespaces), "
        f"or let the account nobody reach {directory} and {program}.",
    )


def take_over(made: Path | int, account: Unprivileged | None) -> None:
    """Give a folder or an open file that we just made to the account that the server runs under."""
    if account == "nobody":
        entry = pwd.getpwnam(_NOBODY)
        os.chown(made, entry.pw_uid, entry.pw_gid)


def _belongs_to_nobody(directory: Path) -> bool:
    return directory.stat().st_uid == pwd.getpwnam(_NOBODY).pw_uid


def _hand_over(directory: Path, account: str) -> None:
    entry = pwd.getpwnam(account)
    for folder, _, files in os.walk(directory):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


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
