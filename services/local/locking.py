"""One supervisor per directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from services.local.errors import LocalError


class DirectoryLock:
    """Holds `path` locked until `release`, or until this process ends, however; children never hold it.

    Raises:
        LocalError: another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 20).decode() or "unknown"
            os.close(self._file)
            raise LocalError(
                f"A stack already runs in {path.parent} (process {holder}).",
                "Stop it first (Ctrl-C there), or choose another directory with --dir.",
            ) from None
        os.ftruncate(self._file, 0)
        os.write(self._file, str(os.getpid()).encode())

    def release(self) -> None:
        """Let another process have it."""
        os.ftruncate(self._file, 0)
        os.close(self._file)
