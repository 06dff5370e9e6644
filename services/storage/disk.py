"""What lies under the slot file: a file system that copies on write keeps the old bytes of an overwritten
key.
"""

from __future__ import annotations

from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_COPYING = frozenset({"btrfs", "zfs", "bcachefs", "overlay", "nfs", "nfs4", "cifs", "fuse.glusterfs"})


def copying_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """The type of the file system that holds `path`, if it does not overwrite in place on this host; else
    None.

    Read from Linux's mount table (proc(5)); elsewhere nothing is known, and None is returned.
    """
    try:
        lines = mounts.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    target, best, kind = path.resolve(), "", ""
    for line in lines:
        fields = line.split()
        mounted, after = fields[4].replace("\\040", " "), fields.index("-")
        if target.is_relative_to(mounted) and len(mounted) >= len(
            best
        ):  # the deepest, and of equals the last
            best, kind = mounted, fields[after + 1]
    return kind if kind in _COPYING else None
