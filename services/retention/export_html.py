"""How the pages of an archive look: HTML that loads and runs nothing, on a screen, to a reader, on paper."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any, Final

CLOSE: Final = "</main></body></html>\n"
_STYLE: Final = """
:root { color-scheme: light dark; --line: #c9ced6; --quiet: #4d5562; --ink: #16191d; --paper: #fff;
  --link: #0b57a4; --shade: #f4f6f8 }
@media (prefers-color-scheme: dark) { :root { --line: #444c56; --quiet: #a9b2bd; --ink: #e8eaed;
  --paper: #15181c; --link: #8ab8f0; --shade: #1e2329 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif }
main { max-width: 62rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem }
p { max-width: 44rem; margin: .5rem 0 } .quiet { color: var(--quiet) }
a { color: var(--link) } a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px }
.facts { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: 1.2rem 0; padding: .9rem 1.1rem;
  background: var(--shade); border-radius: .5rem }
.facts div { min-width: 8rem } .facts dt { color: var(--quiet); font-size: .85rem }
.facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
caption { text-align: left; color: var(--quiet); padding-bottom: .4rem }
th, td { text-align: left; vertical-align: top; padding: .45rem 1.2rem .45rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere }
thead th { color: var(--quiet); font-weight: 600; font-size: .85rem; white-space: nowrap }
tbody th { font-weight: 600 } .values th { width: 16rem } .nobreak { white-space: nowrap }
.values .values { border-left: 3px solid var(--line) } .values .values th { padding-left: .8rem }
@media print { :root { --ink: #000; --paper: #fff; --quiet: #333; --line: #999; --link: #000;
  --shade: #fff } main { max-width: none; padding: 0 } body { font-size: 10pt }
  .facts { border: 1px solid var(--line) } tr { break-inside: avoid } thead { display: table-header-group } }
"""


def begin(title: str) -> str:
    """The beginning of a page, its heading included; `title` is plain text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body><main>\n"
        f"<h1>{escape(title)}</h1>\n"
    )


def facts(told: dict[str, str]) -> str:
    """A few facts side by side."""
    each = (f"<div><dt>{escape(name)}</dt><dd>{shown(value)}</dd></div>" for name, value in told.items())
    return f'<dl class="facts">{"".join(each)}</dl>\n'


def values(value: Any) -> str:
    """A value of JSON as it is read: names and values in tables, within each other where it is nested."""
    if isinstance(value, dict):
        rows = "".join(
            f'<tr><th scope="row">{escape(label(name))}</th><td>{values(below)}</td></tr>'
            for name, below in value.items()
        )
        return f'<table class="values"><tbody>{rows}</tbody></table>' if rows else "none"
    if isinstance(value, list):
        if not any(isinstance(below, dict | list) for below in value):
            return ", ".join(values(below) for below in value) or "none"
        return "".join(values(below) for below in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return shown(str(value))


def label(name: str) -> str:
    """A name of the contract in words: `device.hardware.idfv` is "Device: hardware: idfv"."""
    words = name.replace(".", ": ").replace("_", " ")
    return words[:1].upper() + words[1:]


def shown(text: str) -> str:
    """Text of a person's making, inert: escaped, and nothing in it moves what is around it."""
    return escape(printable(text))


def printable(value: str) -> str:
    """The text with every control, format and separator sign written out, so that it moves nothing."""
    return "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in value)


def moment(stamp: str | datetime) -> str:
    """An instant to the minute, in UTC, as it is read."""
    try:
        time = datetime.fromisoformat(stamp) if isinstance(stamp, str) else stamp
    except ValueError:
        return printable(str(stamp))
    return f"{time.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


def size(count: int) -> str:
    """A number of bytes as it is read."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"
