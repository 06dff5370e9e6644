"""The log as files, over real HTTP: who knows only the layout computes the signed root from them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import structlog
from idv.checkpoint import open_checkpoint
from idv.cosignature import cosignatures

from services.local.databases import ServiceDatabase
from services.retention import tiles
from services.retention.witnesses import Witnesses
from services.runtime.web_server import WebServer
from tests.retention_parts import SIGNER, Retention, replica
from tests.service.test_retention_log import NOWHERE, append, entries
from tests.service.test_retention_witnesses import asking, standing


@asynccontextmanager
async def served(part: Retention, witnesses: Witnesses | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    log = structlog.get_logger()
    files = tiles.application(part.log, witnesses or asking(part))
    async with (
        WebServer(files, "127.0.0.1:0", log, served="log served as tiles") as server,
        aiohttp.ClientSession(f"http://{server.address}") as session,
    ):
        yield session


async def fetch(session: aiohttp.ClientSession, path: str) -> bytes:
    async with session.get(path) as answer:
        assert answer.status == 200, path
        return await answer.read()


def place(number: int) -> str:
    """A tile's number as the layout writes it."""
    digits = f"{number:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    return "/".join([*(f"x{one}" for one in groups[:-1]), groups[-1]])


def tree_root(hashes: list[bytes]) -> bytes:
    """RFC 9162 by its own recursion, not by the code that is tested."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    left, right = tree_root(hashes[:split]), tree_root(hashes[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


async def level(session: aiohttp.ClientSession, name: int | str, count: int, width: int) -> list[bytes]:
    """Everything of one level of tiles, the last tile by its width; `width` bytes each."""
    found: list[bytes] = []
    for number in range(-(-count // 256)):
        rest = min(256, count - 256 * number)
        suffix = "" if rest == 256 else f".p/{rest}"
        body = await fetch(session, f"/tile/{name}/{place(number)}{suffix}")
        assert len(body) == rest * width
        found += [body[at : at + width] for at in range(0, len(body), width)]
    return found


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 1000])
async def test_the_root_follows_from_the_tiles_alone(service_database: ServiceDatabase, size: int) -> None:
    async with replica(service_database, NOWHERE) as one, served(one) as session:
        if size:
            await append(one.log, one.database, entries("grown", size))
        note = (await fetch(session, "/checkpoint")).decode()
        checkpoint, _ = open_checkpoint(note, SIGNER.keys)
        assert checkpoint.size == size
        leaves = await level(session, 0, size, 32)
        assert tree_root(leaves) == checkpoint.root
        bundled = await level(session, "entries", size, 34)
        assert all(entry[:2] == b"\x00\x20" for entry in bundled)
        assert [hashlib.sha256(b"\x00" + entry[2:]).digest() for entry in bundled] == leaves
        above = await level(session, 1, size // 256, 32)
        assert above == [tree_root(leaves[256 * at : 256 * at + 256]) for at in range(size // 256)]


async def test_a_tile_may_be_kept_for_ever_and_the_checkpoint_hardly(
    service_database: ServiceDatabase, tmp_path: Path
) -> None:
    async with replica(service_database, NOWHERE) as one, standing(tmp_path) as witness:
        witnesses = asking(one, witness)
        async with served(one, witnesses) as session:
            await append(one.log, one.database, entries("grown", 300))
            partial = await fetch(session, "/tile/0/001.p/44")
            await append(one.log, one.database, entries("more", 300))
            assert await fetch(session, "/tile/0/001.p/44") == partial, "a tool may still ask for it"
            assert (await fetch(session, "/tile/0/001"))[: len(partial)] == partial
            await witnesses.run()
            async with session.get("/checkpoint") as answer:
                assert answer.headers["Cache-Control"] == "public, max-age=2"
                assert answer.content_type == "text/plain"
                assert len(cosignatures(await answer.text(), [witness.key])) == 1
            async with session.get("/tile/0/000") as answer:
                assert "immutable" in answer.headers["Cache-Control"]
                assert answer.content_type == "application/octet-stream"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
            async with session.head("/tile/0/000") as answer:
                assert (answer.status, answer.headers["Content-Length"]) == (200, "8192")


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/tile", "/tile/", "/tile/0", "/tile/0/", "/tile/0/0", "/tile/0/0000", "/tile/00/000"),
        *("/tile/0/x000/000", "/tile/0/x001/000", "/tile/0/000.p/0", "/tile/0/000.p/256", "/tile/0/000.p/03"),
        *("/tile/0/000.p/4", "/tile/0/001", "/tile/1/000.p/1", "/tile/7/000", "/tile/64/000", "/tile/-1/000"),
        *("/tile/entries/001.p/1", "/tile/data/000", "/tile/0/000/", "/checkpoint/", "/tile/0/%30%30%30x"),
        "/tile/0/" + "x999/" * 40 + "999",
        "/tile/0/x999/x999/x999/x999/x999/999",
    ],
)
async def test_what_is_no_tile_of_the_log_is_not_found(service_database: ServiceDatabase, path: str) -> None:
    async with replica(service_database, NOWHERE) as one, served(one) as session:
        await append(one.log, one.database, entries("grown", 3))
        async with session.get(path) as answer:
            assert answer.status == 404
            assert answer.headers["Cache-Control"] == "no-store"


async def test_the_files_can_only_be_read(service_database: ServiceDatabase) -> None:
    async with replica(service_database, NOWHERE) as one, served(one) as session:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            async with session.request(method, "/checkpoint", data=b"x") as answer:
                assert answer.status == 405
