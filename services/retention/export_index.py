"""What a person opens of an archive: an index, also as plain text, and a page for each record of items."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from html import escape
from typing import Any, Final, NamedTuple

from services.retention.export_html import CLOSE, begin, facts, label, moment, printable, size, values
from services.retention.export_items import ITEMS

_ENDINGS: Final = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "image/jp2": ".jp2",
    "application/pdf": ".pdf",
}
_COLUMNS: Final = ("What", "Received", "Ends", "Size", "Files")
_ABOUT: Final = (
    "This archive holds everything that was kept: the data itself, who attested that it may be collected, who"
    " read it and why, and the privacy notices under which it was collected.",
    "Each session's file holds its attestation and every access to its records. Each record has a file for"
    " programs (JSON). Typed items can be read as a page; images and documents are as they were kept."
    " manifest.json lists the SHA-256 of every file.",
)


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


def session_path(name: str) -> str:
    """Where a session's file stands."""
    return f"sessions/{name.rpartition('/')[2]}.json"


def shown_path(record: dict[str, Any]) -> str:
    """Where a person finds what a record says: its page, or the original of an image or document."""
    ending = ".html" if record["media_type"] == ITEMS else _ENDINGS.get(record["media_type"], ".bin")
    return json_path(record).removesuffix(".json") + ending


async def page(told: Facts, rows: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """The index as HTML, row by row."""
    about = "".join(f"<p>{escape(line)}</p>\n" for line in _ABOUT)
    notices = "".join(
        f'<li><a href="notices/{version}/text.md">Privacy notice, version {version}</a> '
        f'(<a href="notices/{version}/terms.json">its terms for programs</a>)</li>'
        for version in told.versions
    )
    head = "".join(f'<th scope="col">{column}</th>' for column in _COLUMNS)
    yield (
        begin("Data export")
        + facts(_facts(told))
        + about
        + (f"<h2>Privacy notices</h2>\n<ul>{notices}</ul>\n" if notices else "")
        + '<h2>Sessions and records</h2>\n<div class="wide"><table>\n'
        "<caption>Sessions, then their records; the oldest first.</caption>\n"
        f"<thead><tr>{head}</tr></thead><tbody>\n"
    ).encode()
    async for row in rows:
        what, *cells = (escape(cell) for cell in _cells(row))
        others = "".join(f'<td class="nobreak">{cell}</td>' for cell in cells)
        files = " · ".join(_link(path, what) for path in row["paths"])
        yield f'<tr><th scope="row">{what}</th>{others}<td class="nobreak">{files}</td></tr>\n'.encode()
    yield ("</tbody></table></div>\n" + CLOSE).encode()


async def text(told: Facts, rows: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    """The index as plain text, row by row."""
    lines = [f"{name}: {printable(value)}" for name, value in _facts(told).items()]
    yield ("Data export\n\n" + "\n".join([*lines, "", *_ABOUT]) + "\n\n").encode()
    async for row in rows:
        yield ("\t".join((*_cells(row), *row["paths"])) + "\n").encode()


def record_page(record: dict[str, Any], items: dict[str, Any]) -> bytes:
    """What a record of typed items says, as a page."""
    told = {
        "Received": moment(record["receive_time"]),
        "Ends": moment(record["expire_time"]),
        "Privacy notice": f"version {record.get('notice_version', 0)}",
        "Record": record["name"].rpartition("/")[2],
    }
    if record.get("supersedes"):
        told["Corrects"] = record["supersedes"].rpartition("/")[2]
    back = '<p><a href="../../index.html">Back to the index</a></p>\n'
    title = label(record["category"])
    return (begin(title) + back + facts(told) + "<h2>Items</h2>\n" + values(items) + CLOSE).encode()


def _facts(told: Facts) -> dict[str, str]:
    found = {"Held for": told.customer}
    if told.subject is not None:
        found["Reference"] = told.subject
    sessions, records = told.summary["sessions"], told.summary["records"]
    return found | {"As of": moment(told.as_of), "Sessions": str(sessions), "Records": str(records)}


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    if "category" not in row:
        return "Session", moment(row["created"]), "", ""
    kind = label(row["category"]) + (" (corrected)" if row.get("supersedes") else "")
    return kind, moment(row["receive_time"]), moment(row["expire_time"]), size(row["size"])


def _link(path: str, what: str) -> str:
    ending = path.rpartition(".")[2]
    name = {"html": "read", "json": "JSON"}.get(ending, f"original ({ending})")
    return f'<a href="{escape(path)}" aria-label="{what}: {escape(name)}">{escape(name)}</a>'
