"""The index of an archive for people: HTML that loads and runs nothing, and the same as plain text."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import escape
from typing import Any, Final, NamedTuple

_ENDINGS: Final = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/jp2": ".jp2",
    "application/pdf": ".pdf",
}
_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Data export</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ccc; vertical-align: top }
</style></head><body>
"""


class Facts(NamedTuple):
    """What an archive is of, and as of when."""

    customer: str
    subject: str | None
    as_of: datetime
    summary: dict[str, Any]
    versions: list[int]


def json_path(record: dict[str, Any]) -> str:
    """Where a record's JSON stands in the archive: by session, category and id, which name no person."""
    _, _, _, session, _, identity = record["name"].split("/")
    return f"records/{session}/{record['category']}-{identity}.json"


def original_path(record: dict[str, Any]) -> str:
    """Where the original of an image or document stands, beside its JSON."""
    return json_path(record).removesuffix(".json") + _ENDINGS.get(record["media_type"], ".bin")


async def page(facts: Facts, rows: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """The index as HTML, row by row."""
    lines = [f"<p>{escape(line)}</p>" for line in _facts(facts)]
    notices = [f'<a href="notices/{version}/text.md">version {version}</a>' for version in facts.versions]
    yield (
        _HEAD
        + "<h1>Data export</h1>\n"
        + "\n".join(lines)
        + f"\n<p>Privacy notice: {', '.join(notices)}</p>\n"
        "<table><thead><tr><th>What<th>Received<th>Ends<th>Size<th>Files</tr></thead><tbody>\n"
    ).encode()
    async for row in rows:
        files = ", ".join(f'<a href="{escape(path)}">{escape(_kind(path))}</a>' for path in row["paths"])
        cells = "".join(f"<td>{escape(cell)}" for cell in _cells(row))
        yield f"<tr>{cells}<td>{files}</tr>\n".encode()
    yield b"</tbody></table></body></html>\n"


async def text(facts: Facts, rows: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """The index as plain text, row by row."""
    yield ("Data export\n\n" + "\n".join(_facts(facts)) + "\n\n").encode()
    async for row in rows:
        yield ("\t".join((*_cells(row), *row["paths"])) + "\n").encode()


def _facts(facts: Facts) -> list[str]:
    whose = "everything" if facts.subject is None else f"subject {printable(facts.subject)}"
    as_of = facts.as_of.astimezone(UTC)
    return [
        f"{facts.customer}: {whose}, as of {as_of:%Y-%m-%dT%H:%M:%SZ}.",
        f"{facts.summary['sessions']} sessions, {facts.summary['records']} records.",
        "Each session's file holds its attestation and who accessed its records; manifest.json lists the"
        " SHA-256 of every file.",
    ]


def printable(value: str) -> str:
    """The text with every control, format and separator sign written out, so that it moves nothing."""
    return "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in value)


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    if "category" not in row:
        return "session", row["created"], "", ""
    kind = row["category"] + (" (corrected)" if row.get("supersedes") else "")
    return kind, row["receive_time"], row["expire_time"], f"{row['size']} bytes"


def _kind(path: str) -> str:
    return path.rpartition(".")[2]
