"""The examples run as they stand, one after the other, against a stack such as `make up` starts."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from idv import receipts

from services.local.describe import describe
from services.local.specimens import face, jpeg
from services.local.stack import LocalStack
from tests.documents import ROOT

EXAMPLES = ROOT / "examples" / "python"
SUBJECT = "user-of-the-examples"


class Desk:
    """A folder with the ready file and a picture, where examples are run."""

    def __init__(self, folder: Path, stack: LocalStack) -> None:
        self.folder = folder
        self.stack = stack
        describe(stack).write(folder / "ready.json")
        self.picture = folder / "selfie.jpg"
        self.picture.write_bytes(jpeg(face("examples")).body)

    async def run(self, example: str, *arguments: str) -> tuple[str, str]:
        """Standard output and error of an example that must succeed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(EXAMPLES / example), *arguments),
            cwd=self.folder,
            env={
                **os.environ,
                "IDV_CONNECT": str(self.folder / "ready.json"),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode(), err.decode()


@pytest.fixture
def desk(stack: LocalStack, tmp_path: Path) -> Desk:
    """A desk at the shared stack."""
    return Desk(tmp_path, stack)


async def test_gateway_sdk_verifier_and_deletion_do_what_they_say(desk: Desk) -> None:
    opened, _ = await desk.run("gateway.py", SUBJECT)
    assert set(json.loads(opened)) == {"session", "upload_token"}
    (desk.folder / "session.json").write_text(opened)

    uploaded, told = await desk.run("sdk_upload.py", "session.json", "selfie.jpg")
    record = uploaded.strip()
    assert record.startswith(json.loads(opened)["session"])
    assert "100 %" in told
    assert "ITEM_NOT_REQUESTED: " in told
    assert "; None" not in told, "a refusal comes with its remedy"

    read, _ = await desk.run("verifier_read.py", record, "stored.jpg")
    assert "face_image image/jpeg" in read
    assert "PURPOSE_REQUIRED: " in read
    assert "None" not in read
    stored = (desk.folder / "stored.jpg").read_bytes()
    assert stored.startswith(b"\xff\xd8")
    assert len(stored) < len(desk.picture.read_bytes()), "the metadata was taken out"

    deleted, _ = await desk.run("delete_and_verify.py", SUBJECT, "receipt.json")
    assert "2 records deleted; no copy opens after " in deleted
    receipt = (desk.folder / "receipt.json").read_bytes()
    assert receipts.verify(receipt, desk.stack.log_public_key).kind == "deletion"


def test_every_example_is_run_here() -> None:
    told = Path(__file__).read_text()
    names = {path.name for path in EXAMPLES.glob("*.py")} - {"local.py"}
    assert names
    assert all(f'"{name}"' in told for name in names)
