"""How versions of the notice, their terms and their changes are shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from google.protobuf.descriptor import EnumDescriptor
from idv.notice.v1 import notice_pb2
from idv.types.v1 import processing_pb2
from rich.table import Table
from rich.text import Text

from services.cli.messages import name_of, shown_time
from services.cli.output import rows_table

_STYLES = {
    notice_pb2.TEXT_PART_KIND_KEPT: "",
    notice_pb2.TEXT_PART_KIND_ADDED: "green underline",
    notice_pb2.TEXT_PART_KIND_REMOVED: "red strike",
}
_STATES = notice_pb2.NoticeState.DESCRIPTOR
_PURPOSES = processing_pb2.Purpose.DESCRIPTOR
_SOURCES = processing_pb2.Source.DESCRIPTOR


def notice_facts(notice: notice_pb2.Notice) -> Mapping[str, str | None]:
    """What is said of a version above its text or terms."""
    return {
        "version": str(notice.version),
        "state": name_of(_STATES, notice.state).replace("_", " "),
        "material": "yes" if notice.material else None,
        "announced": shown_time(notice.announce_time) or None,
        "in force from": shown_time(notice.in_force_time) or None,
        "until": shown_time(notice.superseded_time) or None,
        "kept": f"{notice.terms.retention_days} days",
        "purposes": ", ".join(_words(_PURPOSES, purpose) for purpose in notice.terms.purposes),
        "digest": notice.digest.hex(),
    }


def terms_table(terms: notice_pb2.Terms) -> Table:
    """The items of a version: what may be collected, and from where."""
    rows = [
        (
            item.code,
            "optional" if item.optional else "",
            ", ".join(_words(_SOURCES, source) for source in item.sources),
        )
        for item in terms.items
    ]
    return rows_table(("Item", "", "From"), rows)


def changes_table(changes: Iterable[notice_pb2.TermsChange]) -> Table:
    """What changed against the version before."""
    rows = [
        (change.clause, "[yellow]material[/]" if change.material else "", change.reason) for change in changes
    ]
    return rows_table(("Clause", "", "What changes"), rows)


def difference(texts: Iterable[notice_pb2.TextDifference]) -> list[Text]:
    """The lines in which anything changed: new words green and underlined, others struck through."""
    return [line for text in texts for line in (Text(f"\n{text.language}", "bold"), *_changed_lines(text))]


def _changed_lines(text: notice_pb2.TextDifference) -> Iterator[Text]:
    line, changed = Text(), False
    for part in text.parts:
        for piece in part.text.splitlines(keepends=True):
            line.append(piece.removesuffix("\n"), _STYLES[part.kind])
            changed = changed or part.kind != notice_pb2.TEXT_PART_KIND_KEPT
            if not piece.endswith("\n"):
                continue
            if changed:
                yield line
            line, changed = Text(), False
    if changed:
        yield line


def _words(enum: EnumDescriptor, number: int) -> str:
    return name_of(enum, number).replace("_", " ")
