"""Texts compared word by word: nothing is lost, nothing is invented, in any script."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from services.notice.differences import Kind, Part, compare, texts
from services.notice.text import Text

WRITTEN = st.lists(
    st.sampled_from(["data", "Data", " ", "\n", "数", "据", "30", ".", "<b>", "\u05d0", "e\u0301"]),
    max_size=40,
).map("".join)


@given(WRITTEN, WRITTEN)
def test_the_parts_are_both_texts_to_the_letter(before: str, after: str) -> None:
    parts = compare(before, after)
    assert "".join(part.text for part in parts if part.kind is not Kind.ADDED) == before
    assert "".join(part.text for part in parts if part.kind is not Kind.REMOVED) == after
    assert all(part.text for part in parts)


@given(WRITTEN)
def test_the_same_text_has_no_change(text: str) -> None:
    assert all(part.kind is Kind.KEPT for part in compare(text, text))


def test_a_changed_word_is_marked_and_its_neighbours_are_not() -> None:
    assert compare("We keep data for a month.\n", "We keep data for a week.\n") == (
        Part(Kind.KEPT, "We keep data for a "),
        Part(Kind.REMOVED, "month"),
        Part(Kind.ADDED, "week"),
        Part(Kind.KEPT, ".\n"),
    )


def test_chinese_is_compared_by_character() -> None:
    parts = compare("数据保存一个月。", "数据保存一周。")
    assert [(part.kind, part.text) for part in parts if part.kind is not Kind.KEPT] == [
        (Kind.REMOVED, "个月"),
        (Kind.ADDED, "周"),
    ]


def test_a_language_that_one_version_lacks_is_wholly_added_or_removed() -> None:
    english, chinese = Text("en", "A", "# A\n"), Text("zh", "B", "# B\n")
    (same, added) = texts([english], [english, chinese])
    assert (same.changed, added.parts) == (False, (Part(Kind.ADDED, "# B\n"),))
    (_, removed) = texts([english, chinese], [english])
    assert removed.parts == (Part(Kind.REMOVED, "# B\n"),)


def test_texts_of_the_largest_size_that_share_nothing_are_compared_in_seconds() -> None:
    before, after = ("".join(f"{sign}{number} " for number in range(20_000)) for sign in "ab")
    began = time.monotonic()
    parts = compare(before, after)
    assert time.monotonic() - began < 10
    assert [part.kind for part in parts] == [Kind.REMOVED, Kind.ADDED]
