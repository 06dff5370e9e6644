"""The Python in the README runs as it stands there, against a stack such as `make up` starts."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from services.local.describe import describe
from services.local.specimens import face, jpeg
from services.local.stack import LocalStack
from tests import documents


async def test_the_example_runs_and_shows_what_the_readme_says(stack: LocalStack, tmp_path: Path) -> None:
    (example,) = documents.blocks(documents.ROOT / "README.md", "python")
    describe(stack).write(tmp_path / ".idv" / "ready.json")
    (tmp_path / "selfie.jpg").write_bytes(jpeg(face("readme")).body)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", example),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    told = out.decode()
    assert "exif" in told, "the metadata of the picture was taken out"
    assert "refused: ITEM_NOT_REQUESTED" in told, "what the session does not ask for is refused by name"
    assert "2 records deleted" in told
