"""Reads YAML strictly and remembers the line of every value, so that a fault can be shown where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from services.notice.faults import Fault, InvalidNoticeError, refuse

Path = tuple[str | int, ...]
Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]

MAX_DEPTH = 8
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")}


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document: its plain value, and the line (from 1) of every path in it."""

    file: str
    value: Plain
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int | None:
        """Line of a path, or of the nearest thing around it that the document has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def fault(self, path: Path, reason: str, remedy: str) -> Fault:
        """A fault at a path of this document."""
        return Fault(self.file, self.line(path), spell(path), reason, remedy)


def spell(path: Path) -> str:
    """A path as people write it: `items[3].sources[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def read(file: str, text: str) -> Document:
    """Reads one YAML document of plain mappings, lists and scalars.

    Anchors, aliases, tags, repeated keys, several documents and more than 8 levels are refused: a notice
    needs none, and each hides something from a reader. Raises InvalidNoticeError with every fault found;
    after an error of syntax there is only that one.
    """
    try:
        _refuse_references(file, text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        raise _unreadable(file, line, f"Not readable as YAML: {error.problem}") from None
    except yaml.YAMLError:
        raise _unreadable(file, None, "Not readable as YAML") from None
    reader = _Reader(file)
    value = None if node is None else reader.plain(node, ())
    refuse(reader.faults)
    return Document(file, value, reader.lines)


def _refuse_references(file: str, text: str) -> None:
    """Refuses anchors, aliases and depth while they are events: before anything is expanded or entered."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = 1 if event.start_mark is None else event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _unreadable(file, line, "Anchors and aliases are not allowed", "Write the value out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            remedy = "Flatten it: docs/notices.md shows the form"
            raise _unreadable(file, line, f"Nested deeper than {MAX_DEPTH} levels", remedy)


def _unreadable(
    file: str, line: int | None, reason: str, remedy: str = "Correct the syntax"
) -> InvalidNoticeError:
    return InvalidNoticeError([Fault(file, line, "", reason, remedy)])


class _Reader:
    """Turns nodes into plain values, noting lines and faults as it goes."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.lines: dict[Path, int] = {}
        self.faults: list[Fault] = []
        self._scalars = yaml.SafeLoader("")

    def plain(self, node: yaml.Node, path: Path) -> Plain:
        self.lines[path] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(child, (*path, index)) for index, child in enumerate(node.value)]
        if node.tag not in _SCALARS:
            self._fault(node, path, "Only text, numbers, true and false may stand here", "Put it in quotes")
            return None
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: Path) -> Plain:
        try:
            value: Plain = self._scalars.construct_object(node)
        except (ValueError, yaml.YAMLError):  # such as an integer of more digits than Python converts
            self._fault(node, path, "Not a value that can be read", "Shorten it, or put it in quotes")
            return None
        return value

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Plain]:
        value: dict[str, Plain] = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                self._fault(key, path, "A key must be plain text", "Put quotes around it")
            elif key.value in value:
                self._fault(key, (*path, key.value), "The key stands here twice", "Keep one of them")
            else:
                value[key.value] = self.plain(child, (*path, key.value))
        return value

    def _fault(self, node: yaml.Node, path: Path, reason: str, remedy: str) -> None:
        self.faults.append(Fault(self.file, node.start_mark.line + 1, spell(path), reason, remedy))
