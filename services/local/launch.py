"""Prepare a process and become the given program: `python -I -S launch.py [options] -- program arguments`.

A file of its own, run by path and with the standard library only, so that a start costs a few
milliseconds and so that the supervisor, which has threads, never runs Python between fork and exec. It

- asks the kernel for a signal when the supervisor dies (`--death-signal`), so nothing outlives it;
- forbids core dumps, which would write whatever a process holds in memory to disk;
- steps down from uid 0 where a program refuses it: `--unprivileged namespace` maps the same account to
  uid 1000 in a new user namespace (every file keeps its owner and mode), `--unprivileged nobody` changes
  to the account `nobody`.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import pwd
import resource
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_INNER_ID = 1000


def main() -> None:
    """Parse, prepare, exec. Exits with 126 and one line on standard error where a step is refused."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True, help="pid of the supervisor")
    parser.add_argument("--death-signal", default="SIGKILL")
    parser.add_argument("--unprivileged", choices=["namespace", "nobody"])
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        if options.unprivileged == "namespace":
            _enter_user_namespace()
        elif options.unprivileged == "nobody":
            _become_nobody()
        # After the change of credentials: the kernel forgets the death signal when they change.
        _die_with_parent(options.parent, getattr(signal, options.death_signal))
        os.execvp(options.program[0], options.program)  # noqa: S606  the supervisor's own fixed programs
    except OSError as error:
        sys.stderr.write(
            f"cannot start {options.program[0]}: {error.strerror} ({error.filename or 'no file'})\n"
        )
        sys.exit(126)


def _libc_call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), name)


def _die_with_parent(parent: int, death_signal: int) -> None:
    if sys.platform != "linux":
        return
    _libc_call("prctl", _PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != parent:  # it died before the request reached the kernel
        os._exit(125)


def _enter_user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _libc_call("unshare", _CLONE_NEWUSER)
    # Refused or absent where the caller may change groups anyway.
    with contextlib.suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_INNER_ID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{_INNER_ID} {gid} 1")


def _become_nobody() -> None:
    account = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


if __name__ == "__main__":
    main()
