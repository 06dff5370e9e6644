"""A client in another language, from the contracts alone: Node uploads by token and reads by certificate."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.local.describe import describe
from services.local.specimens import MARK, face, jpeg
from services.local.stack import LocalStack
from tests.documents import ROOT
from tests.integration.verification import Verification

EXAMPLE = ROOT / "examples" / "node"
MISSING = [program for program in ("node", "npm") if shutil.which(program) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"install {' and '.join(MISSING)}")


class Workplace:
    """A copy of the example with its locked packages, the contract's descriptor set and a running stack."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def run(self, *command: str) -> tuple[int, str, str]:
        """Exit code, standard output and error of a command."""
        known = {
            "IDV_CONNECT": str(self.folder / "ready.json"),
            "IDV_CONTRACT": str(self.folder / "idv.binpb"),
        }
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env={**os.environ, **known},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(180):
            out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()


@pytest_asyncio.fixture
async def workplace(stack: LocalStack, tmp_path: Path) -> AsyncIterator[Workplace]:
    """A workplace at the shared stack."""
    folder = tmp_path / "node"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    describe(stack).write(folder / "ready.json")
    made = Workplace(folder)
    generator = str(ROOT / "protos" / "generate.py")
    for command in ((sys.executable, generator, "--descriptors", "idv.binpb"), ("npm", "ci")):
        code, _, err = await made.run(*command)
        assert code == 0, err
    yield made


async def test_node_uploads_with_a_token_and_reads_with_a_certificate(
    workplace: Workplace, verification: Verification
) -> None:
    opened = await verification.open("acme", "user-of-the-node-example", ["face_image"])
    session = {"session": opened.name, "upload_token": opened.token}
    (workplace.folder / "session.json").write_text(json.dumps(session))
    # Larger than one message, so that it goes in several.
    (workplace.folder / "selfie.jpg").write_bytes(jpeg(face("node", width=1600), quality=97).body)
    assert (workplace.folder / "selfie.jpg").stat().st_size > 256 * 1024

    code, out, err = await workplace.run("node", "upload.mjs", "session.json", "selfie.jpg")
    assert code == 0, err
    record = out.strip()
    assert record.startswith(f"{opened.name}/records/")
    assert "exif" in err

    code, _, err = await workplace.run("node", "read.mjs", record, "stored.jpg")
    assert code == 0, err
    stored = (workplace.folder / "stored.jpg").read_bytes()
    assert stored == await verification.read(record)
    assert MARK.encode() not in stored

    code, _, err = await workplace.run("node", "read.mjs", record, "never.jpg", "PURPOSE_UNSPECIFIED")
    assert code == 1
    assert "PURPOSE_REQUIRED" in err, "the reason is read from the typed details"
    assert re.search(r"remedy: '.+'", err)
    assert not (workplace.folder / "never.jpg").exists()


def test_the_lock_pins_every_package_by_digest_and_holds_no_address() -> None:
    text = (EXAMPLE / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    wanted = json.loads((EXAMPLE / "package.json").read_text())["dependencies"]
    assert packages.pop("")["dependencies"] == wanted
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert "://" not in text
