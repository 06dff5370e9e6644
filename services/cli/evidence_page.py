"""The evidence of deliveries as a page to print: one HTML file, without script, that loads nothing.

It is written row by row, so that a version told to any number of Customers takes no memory.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from importlib import resources

from markupsafe import Markup, escape

TAIL = "</tbody></table>\n</main>\n</body>\n</html>"
"""What ends the page."""

_TABLE = """
main { max-width: none; }
table { width: 100%; border-collapse: collapse; font-size: .8rem; }
th, td { padding: .3rem .5rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
@page { size: A4 landscape; }
"""  # noqa: E501 - rules of one line each
_HEAD = Markup(
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    "<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    "<p>Who was told of version {number} of the privacy notice, how that stands, and what the mail server "
    "or the returned mail said last. Times are UTC. As of {made:%Y-%m-%d %H:%M:%S}.</p>\n"
    "<table>\n<thead><tr>{columns}</tr></thead>\n<tbody>"
)


def head(number: int, columns: Sequence[str], made: datetime) -> str:
    """The page up to its first row; `made` in UTC."""
    sheet = resources.files("services.cli") / "certificates" / "certificate.css"
    style = sheet.read_text(encoding="utf-8") + _TABLE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _HEAD.format(
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        title=f"Evidence of delivery, version {number}",
        style=Markup(style),  # noqa: S704 - files of this package
        number=number,
        made=made,
        columns=Markup("").join(Markup("<th>{}</th>").format(name.replace("_", " ")) for name in columns),
    )


def row(values: Sequence[str]) -> str:
    """A delivery."""
    return f"<tr>{''.join(f'<td>{escape(value)}</td>' for value in values)}</tr>"
