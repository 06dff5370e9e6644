"""Copies what pages need out of one PDF and writes it as a new one, by the rules of `pdf_rules`."""

from __future__ import annotations

import io
from collections import deque
from enum import Enum
from typing import Any

import pypdf
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NullObject,
    NumberObject,
    StreamObject,
)

from services.ingest.media import pdf_rules as rules
from services.ingest.media import pdf_streams as streams
from services.ingest.media.fault import too_complex, undecodable
from services.ingest.media.stripped import Removed

_MOST_OBJECTS = 50_000
_DEEPEST = 64
_CATALOGUE, _PAGES = 1, 2
_OBJECTS = (IndirectObject, DictionaryObject, ArrayObject, NameObject)


class _Role(Enum):
    """What an object is used as, which decides the entries that it keeps."""

    PAGE = "page"
    RESOURCES = "resources"
    ANNOTATION = "annotation"
    NAMED = "named"
    """Its entries are names of the author's choice for objects, such as fonts or glyphs."""
    PICTURES = "pictures"
    """Its entries are such names for pictures and forms."""
    PICTURE = "picture"
    NAMED_TWICE = "named twice"
    """Its entries lead to such dictionaries."""
    GRAPHICS = "graphics"


_ALLOWED = {
    _Role.PAGE: rules.PAGE,
    _Role.RESOURCES: rules.RESOURCES,
    _Role.ANNOTATION: rules.ANNOTATION,
    _Role.GRAPHICS: rules.GRAPHICS,
}
_ROLE_OF_ENTRY = {
    "/Resources": _Role.RESOURCES,
    "/Annots": _Role.ANNOTATION,
    "/AP": _Role.NAMED_TWICE,
    "/CharProcs": _Role.NAMED,
    "/Colorants": _Role.NAMED,
}
_PICTURES = {"/Image": rules.IMAGE, "/Form": rules.FORM}
_ROLE_BELOW = {
    _Role.PICTURES: _Role.PICTURE,
    _Role.RESOURCES: _Role.NAMED,
    _Role.NAMED_TWICE: _Role.NAMED,
    _Role.NAMED: _Role.GRAPHICS,
}


def _name(source: DictionaryObject, key: str) -> str:
    """The name that an entry holds, directly or by reference; empty when it holds none."""
    value = source.get(key)
    found = value.get_object() if value is not None else None
    return str(found) if isinstance(found, NameObject) else ""


class Copier:
    """Copies reachable, allowed objects; `removed` collects the kinds of thing left behind.

    Objects are copied from a queue, not by recursion, so that no file can exhaust the stack through
    references; direct nesting is bounded.
    """

    def __init__(self, source: pypdf.PdfReader, budget: streams.StreamBudget) -> None:
        self.removed: set[Removed] = set()
        self._source = source
        self._budget = budget
        self._objects: dict[int, Any] = {}
        self._numbers: dict[tuple[int, int, _Role], int] = {}
        self._pending: deque[tuple[int, Any, _Role]] = deque()
        self._pages: list[int] = []
        self._next = _PAGES + 1

    def page(self, page: DictionaryObject) -> None:
        """Copies one page and all that it shows. Raises MediaError for what cannot be expanded."""
        number = self._number()
        self._pages.append(number)
        self._pending.append((number, page, _Role.PAGE))
        while self._pending:
            number, found, role = self._pending.popleft()
            self._objects[number] = self._copy(found, role, 0)

    def _number(self) -> int:
        number = self._next
        self._next += 1
        if number > _MOST_OBJECTS:
            raise too_complex(f"the PDF has more than {_MOST_OBJECTS} objects", "send a simpler file")
        return number

    def _reference(self, number: int) -> IndirectObject:
        return IndirectObject(number, 0, self._source)

    def _copy(self, value: Any, role: _Role, depth: int) -> Any:
        if depth > _DEEPEST:
            raise too_complex("the PDF nests its objects deeper than allowed", "send a simpler file")
        if isinstance(value, IndirectObject):
            return self._refer(value, role)
        if isinstance(value, StreamObject):
            return self._stream(value, role, depth)
        if isinstance(value, DictionaryObject):
            return self._dictionary(value, role, depth)
        if isinstance(value, ArrayObject):
            parts = [self._copy(part, role, depth + 1) for part in value]
            gone = NullObject if role is _Role.ANNOTATION else ()
            return ArrayObject(part for part in parts if not isinstance(part, gone))
        return value

    def _refer(self, reference: IndirectObject, role: _Role) -> Any:
        key = (reference.idnum, reference.generation, role)
        if key not in self._numbers:
            found = reference.get_object()
            if found is None or isinstance(found, NullObject) or not self._appears(found, role):
                return NullObject()
            self._numbers[key] = self._number()
            self._pending.append((self._numbers[key], found, role))
        return self._reference(self._numbers[key])

    def _entries(
        self,
        source: DictionaryObject,
        target: DictionaryObject,
        role: _Role,
        allowed: frozenset[str] | None,
        depth: int,
    ) -> None:
        """Copies the allowed entries; None allows all whose values are objects, not text or numbers."""
        for key, value in source.items():
            if allowed is None and not isinstance(value, _OBJECTS):
                continue
            if allowed is not None and key not in allowed:
                self.removed |= {rules.TOLD[key]} if key in rules.TOLD else set()
                continue
            below = _ROLE_BELOW.get(role) or _ROLE_OF_ENTRY.get(key, _Role.GRAPHICS)
            if role is _Role.RESOURCES and key == "/XObject":
                below = _Role.PICTURES
            target[NameObject(key)] = self._copy(value, below, depth + 1)

    def _appears(self, found: Any, role: _Role) -> bool:
        """False for an annotation that shows nothing on the page, which goes whole."""
        if role is not _Role.ANNOTATION or not isinstance(found, DictionaryObject):
            return True
        subtype = _name(found, "/Subtype")
        if subtype not in rules.APPEARING:
            self.removed.add(Removed.ATTACHMENT if subtype == "/FileAttachment" else Removed.ANNOTATION)
        return subtype in rules.APPEARING

    def _dictionary(self, source: DictionaryObject, role: _Role, depth: int) -> Any:
        if _name(source, "/S") in rules.ACTIONS or _name(source, "/Type") in rules.FILES:
            self.removed.add(Removed.ACTION if "/S" in source else Removed.ATTACHMENT)
            return NullObject()
        if not self._appears(source, role):
            return NullObject()
        target = DictionaryObject()
        self._entries(source, target, role, _ALLOWED.get(role), depth)
        if role is _Role.PAGE:
            target[NameObject("/Type")] = NameObject("/Page")
            target[NameObject("/Parent")] = self._reference(_PAGES)
        return target

    def _stream(self, source: StreamObject, role: _Role, depth: int) -> Any:
        subtype = _name(source, "/Subtype")
        if _name(source, "/Type") in rules.FILES or subtype in ("/XML", "/PS"):
            self.removed.add(Removed.XMP if subtype == "/XML" else Removed.ATTACHMENT)
            return NullObject()
        if role is _Role.PICTURE and subtype not in _PICTURES:
            raise undecodable("PDF", "has a picture of no known kind")
        body, filters, parameters = streams.clean(
            source, self._budget, self.removed, picture=subtype == "/Image"
        )
        target = DecodedStreamObject()
        allowed = _PICTURES.get(subtype, rules.GRAPHICS)
        self._entries(source, target, _Role.GRAPHICS, allowed, depth)
        if filters:
            target[NameObject("/Filter")] = ArrayObject(filters)
            target[NameObject("/DecodeParms")] = self._copy(
                ArrayObject(parameters), _Role.GRAPHICS, depth + 1
            )
        target.set_data(body)
        return target

    def write(self) -> bytes:
        """The new file, the same for the same pages."""
        kids = ArrayObject(self._reference(number) for number in self._pages)
        pages = {"/Type": NameObject("/Pages"), "/Kids": kids, "/Count": NumberObject(len(self._pages))}
        self._objects[_PAGES] = _dictionary(pages)
        root = {"/Type": NameObject("/Catalog"), "/Pages": self._reference(_PAGES)}
        self._objects[_CATALOGUE] = _dictionary(root)
        out = io.BytesIO()
        out.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
        offsets = []
        for number in sorted(self._objects):
            offsets.append(out.tell())
            out.write(b"%d 0 obj\n" % number)
            self._objects[number].write_to_stream(out)
            out.write(b"\nendobj\n")
        table = out.tell()
        size = len(offsets) + 1
        out.write(b"xref\n0 %d\n0000000000 65535 f \n" % size)
        out.write(b"".join(b"%010d 00000 n \n" % offset for offset in offsets))
        out.write(b"trailer\n<< /Size %d /Root %d 0 R >>\n" % (size, _CATALOGUE))
        out.write(b"startxref\n%d\n%%%%EOF\n" % table)
        return out.getvalue()


def _dictionary(entries: dict[str, Any]) -> DictionaryObject:
    return DictionaryObject({NameObject(key): value for key, value in entries.items()})
