"""The slot file is not trusted to a file system that keeps what is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.storage.disk import copying_file_system

MOUNTS = """\
22 1 0:21 / / rw,relatime - overlay overlay rw,lowerdir=/lower
30 22 8:1 / /var/lib/keys rw,relatime shared:1 - ext4 /dev/sda1 rw
31 30 0:40 / /var/lib/keys/copied rw - btrfs /dev/sdb rw
32 22 8:2 / /var/lib/with\\040space rw - xfs /dev/sda2 rw
33 22 0:41 / /net rw - nfs4 server:/keys rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/slots", "overlay"),
        ("/var/lib/keys/slots", None),
        ("/var/lib/keys-not/slots", "overlay"),
        ("/var/lib/keys/copied/slots", "btrfs"),
        ("/var/lib/with space/slots", None),
        ("/net/slots", "nfs4"),
    ],
)
def test_the_deepest_mount_decides(tmp_path: Path, path: str, kind: str | None) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert copying_file_system(Path(path), mounts) == kind


def test_nothing_is_claimed_where_there_is_no_mount_table(tmp_path: Path) -> None:
    assert copying_file_system(Path("/slots"), tmp_path / "absent") is None
