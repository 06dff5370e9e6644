"""How a difference of texts is printed: what is new and what is gone can be told without colours."""

from __future__ import annotations

from idv.notice.v1 import notice_pb2 as pb

from services.cli.notices import difference

KEPT, ADDED, REMOVED = (
    pb.TEXT_PART_KIND_KEPT,
    pb.TEXT_PART_KIND_ADDED,
    pb.TEXT_PART_KIND_REMOVED,
)


def printed(*parts: tuple[str, pb.TextPartKind.ValueType]) -> list[str]:
    text = pb.TextDifference(
        language="en", parts=[pb.TextPart(text=words, kind=kind) for words, kind in parts]
    )
    return [line.plain for line in difference([text])]


def test_new_lines_and_lines_that_are_gone_begin_with_their_sign() -> None:
    lines = printed(("same\n", KEPT), ("new\nlines\n", ADDED), ("gone\n", REMOVED), ("end", KEPT))
    assert lines == ["\nen", "+ new", "+ lines", "- gone"]


def test_words_are_marked_within_their_line() -> None:
    lines = printed(("We keep it ", KEPT), ("30", REMOVED), ("20", ADDED), (" days.\n", KEPT))
    assert lines == ["\nen", "  We keep it [-30-]{+20+} days."]


def test_equal_texts_are_said_to_be_the_same() -> None:
    assert printed(("same\n", KEPT)) == ["The texts are the same."]
