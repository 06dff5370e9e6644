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
_MARKS = {
    notice_pb2.TEXT_PART_KIND_KEPT: ("", ""),
    notice_pb2.TEXT_PART_KIND_ADDED: ("{+", "+}"),
    notice_pb2.TEXT_PART_KIND_REMOVED: ("[-", "-]"),
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


def changes_table(changes: Iterable[notice_pb2.TermsChange]) -> Table | Text:
    """What changed in the terms; a sentence where nothing did."""
    rows = [
        (change.clause, "[yellow]material[/]" if change.material else "", change.reason) for change in changes
    ]
    return rows_table(("Clause", "", "What changes"), rows) if rows else Text("The terms are the same.")


def difference(texts: Iterable[notice_pb2.TextDifference]) -> list[Text]:
    """The lines in which anything changed, marked in words too: colours alone tell nothing in a file.

    A new line begins with `+`, one that is gone with `-`; within others new words are `{+…+}`, old `[-…-]`.
    """
    shown: list[Text] = []
    for text in texts:
        if lines := list(_changed_lines(text)):
            shown += [Text(f"\n{text.language}", "bold"), *lines]
    return shown or [Text("The texts are the same.")]


def _changed_lines(text: notice_pb2.TextDifference) -> Iterator[Text]:
    line: list[tuple[str, notice_pb2.TextPartKind.ValueType]] = []
    for part in text.parts:
        for piece in part.text.splitlines(keepends=True):
            line.append((piece.removesuffix("\n"), part.kind))
            if piece.endswith("\n"):
                yield from _marked(line)
                line = []
    yield from _marked(line)


def _marked(line: list[tuple[str, notice_pb2.TextPartKind.ValueType]]) -> Iterator[Text]:
    kinds = {kind for words, kind in line if words.strip()}
    if kinds <= {notice_pb2.TEXT_PART_KIND_KEPT}:
        return
    if len(kinds) == 1:
        (kind,) = kinds
        sign = "+ " if kind == notice_pb2.TEXT_PART_KIND_ADDED else "- "
        yield Text(sign + "".join(words for words, _ in line), _STYLES[kind])
        return
    marked = Text("  ")
    for words, kind in line:
        before, after = _MARKS[kind] if words.strip() else ("", "")
        marked.append(f"{before}{words}{after}", _STYLES[kind])
    yield marked


def _words(enum: EnumDescriptor, number: int) -> str:
    return name_of(enum, number).replace("_", " ")
