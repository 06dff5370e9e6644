"""The light package verifies a receipt where the suite is not installed and no network can be used."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.unit.test_receipt_forgeries import KEY, SEEN_BY, cosigned, head, receipt

PROTOS = Path(__file__).parents[2] / "protos"

PROGRAM = """
import sys
sys.path[:0] = [{protos!r}, {site!r}]

def deny(event, arguments):
    if event.split(".")[0] in ("socket", "subprocess") or event == "os.system":
        raise PermissionError(event)

sys.addaudithook(deny)
try:
    import services
except ImportError:
    pass
else:
    sys.exit("the suite is installed here")
import socket
try:
    socket.create_connection(("127.0.0.1", 9))
except PermissionError:
    pass
else:
    sys.exit("the network can be used here")
from idv import receipts
proven = receipts.verify(open({receipt!r}, "rb").read(), {key!r}, witnesses={witness!r})
assert len(proven.cosignatures) == 1
forged = open({receipt!r}).read().replace('"record_count": 3', '"record_count": 4')
try:
    receipts.verify(forged, {key!r})
except receipts.ReceiptError as error:
    print(proven.entry["claim"], "/", error.fault.value)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with what the light package depends on, and what that depends on: nothing else."""
    folder = tmp_path / "site"
    folder.mkdir()
    project = tomllib.loads((PROTOS / "pyproject.toml").read_text())["project"]
    todo, seen = [Requirement(one).name for one in project["dependencies"]], set[str]()
    while todo:
        name = todo.pop()
        if name.lower() in seen:
            continue
        seen.add(name.lower())
        for file in metadata.files(name) or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(metadata.distribution(name).locate_file(top))))
        wanted = map(Requirement, metadata.requires(name) or ())
        todo += [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    return folder


def test_a_receipt_verifies_with_the_light_package_alone_and_offline(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(receipt(3, note=cosigned(head(11))))
    program = PROGRAM.format(
        protos=str(PROTOS), site=str(site), receipt=str(file), key=str(KEY), witness=str(SEEN_BY)
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "entry 3 / entry-altered"
