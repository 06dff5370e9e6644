"""A version is read from its folder: what is missing, unknown, hostile or huge is refused, all at once."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest

from services.notice.faults import Fault, InvalidNoticeError
from services.notice.folder import parse, read_folder
from services.notice.text import MAX_BLOCK, MAX_BYTES, Text, parse_text
from tests.notice_parts import ITEMS, SHIPPED, TERMS, TEXT, sources


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "version"))


def faults(folder: Path) -> tuple[Fault, ...]:
    with pytest.raises(InvalidNoticeError) as caught:
        parse(read_folder(folder), ITEMS)
    return caught.value.faults


def text_faults(markdown: str) -> tuple[Fault, ...]:
    with pytest.raises(InvalidNoticeError) as caught:
        parse_text("en", markdown)
    return caught.value.faults


def test_the_shipped_version_is_complete_in_both_languages(folder: Path) -> None:
    draft = parse(read_folder(folder), ITEMS)
    assert [text.language for text in draft.texts] == ["en", "zh"]
    english = draft.texts[0].markdown
    for promise in ("processor", "{{ retention_days }} days", "optional", "receipt", "e-mail", "IMEI"):
        assert promise in english


def test_no_sentence_says_another_retention_than_the_terms(folder: Path) -> None:
    for text in parse(read_folder(folder), ITEMS).texts:
        assert "30" not in text.markdown


@pytest.mark.parametrize("name", ["terms.yaml", "text.en.md"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert [(fault.file, fault.reason) for fault in faults(folder)] == [(name, "Is missing")]


def test_a_version_may_leave_out_chinese(folder: Path) -> None:
    (folder / "text.zh.md").unlink()
    assert [text.language for text in parse(read_folder(folder), ITEMS).texts] == ["en"]


def test_faults_of_several_files_are_named_together(folder: Path) -> None:
    (folder / "terms.yaml").write_text(TERMS.replace("log.events", "imei"), encoding="utf-8")
    (folder / "text.en.md").write_text("No title.\n", encoding="utf-8")
    assert {fault.file for fault in faults(folder)} == {"terms.yaml", "text.en.md"}


def test_unknown_files_links_folders_and_pipes_are_not_read(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("x")
    (folder / "text.fr.md").write_text("x")
    (tmp_path / "secret").write_text("# secret")
    for name in ("text.zh.md", "terms.yaml", "text.en.md"):
        (folder / name).unlink()
    (folder / "text.zh.md").symlink_to(tmp_path / "secret")
    (folder / "terms.yaml").mkdir()
    os.mkfifo(folder / "text.en.md")
    found = {(fault.file, fault.reason) for fault in faults(folder)}
    assert found == {
        ("notes.txt", "Is no file of a version"),
        ("text.fr.md", "Is no file of a version"),
        ("text.zh.md", "Is not a regular file"),
        ("terms.yaml", "Is not a regular file"),
        ("text.en.md", "Is not a regular file"),
    }


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", Path(__file__)):
        with pytest.raises(InvalidNoticeError, match="no folder"):
            read_folder(path)


def test_bytes_that_are_not_utf8_are_refused_with_their_line(folder: Path) -> None:
    (folder / "text.en.md").write_bytes(b"# Title\n\n\xff\xfe\n")
    (fault,) = faults(folder)
    assert (fault.line, fault.reason) == (3, "Is not UTF-8")


def test_a_huge_file_is_refused_before_it_is_read_whole(folder: Path) -> None:
    with (folder / "text.en.md").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing
    (fault,) = faults(folder)
    assert fault.reason == "Larger than 128 KiB"


def test_a_notice_of_a_megabyte_is_refused_when_it_comes_by_call() -> None:
    with pytest.raises(InvalidNoticeError) as caught:
        parse(sources("# \n" * 400_000, en="x" * 1_000_000), ITEMS)
    assert [fault.reason for fault in caught.value.faults] == ["Larger than 128 KiB", "Larger than 128 KiB"]


def test_a_language_that_is_not_shipped_is_refused() -> None:
    with pytest.raises(InvalidNoticeError, match="not shipped in this language"):
        parse(sources(en=TEXT, fr=TEXT), ITEMS)


def test_the_title_is_the_first_heading() -> None:
    assert parse_text("en", TEXT) == Text("en", "A notice", TEXT)


@pytest.mark.parametrize(
    ("added", "line", "reason"),
    [
        ("<script>alert(1)</script>", 7, "Holds HTML"),
        ("a <img src=x onerror=alert(1)> b", 7, "Holds HTML"),
        ("<!-- hidden -->", 7, "Holds HTML"),
        ("![a](https://example.com/a.png)", 7, "Holds an image"),
        ("[a](http://example.com)", 7, "link"),
        ("[a](//example.com)", 7, "link"),
        ("text \u202etxet", 7, "U+202E"),
        ("zero\u200bwidth", 7, "U+200B"),
        ("bell\x07", 7, "U+0007"),
        ("# Another title", 7, "second title"),
        ("## Section\n\n#### Too deep", 9, "level 4 below one of 2"),
        ("{{ secret }}", 7, "Unknown mark"),
        ("{{ items }}", 7, "does not stand alone"),
    ],
)
def test_what_a_page_must_not_carry_is_refused_with_its_line(added: str, line: int, reason: str) -> None:
    found = text_faults(f"{TEXT}\n{added}\n")
    assert [(fault.line, reason in fault.reason) for fault in found] == [(line, True)]


@pytest.mark.parametrize(
    "text", ["", " \n", "no title\n\n{{ items }}", "#\n\n{{ items }}", f"# {'x' * 121}\n\n{{{{ items }}}}"]
)
def test_a_text_without_words_or_title_is_refused(text: str) -> None:
    assert text_faults(text)


@pytest.mark.parametrize("instead", ["", "- {{ items }}", "see {{ items }}", "{{ items }}\n\n{{ items }}"])
def test_the_table_of_items_has_one_paragraph_of_its_own(instead: str) -> None:
    (fault,) = text_faults(TEXT.replace("{{ items }}", instead))
    assert "does not stand alone" in fault.reason


@pytest.mark.parametrize(
    ("added", "line", "reason"),
    [
        ("[" * 4001, 7, "4000 characters"),
        ("words\n\n" + "many words\n" * 500, 9, "4000 characters"),
        ("|a" * 21, 7, "vertical bars"),
        ("a\n\n" * 2000, 4001, "4000 lines"),
    ],
)
def test_what_would_keep_a_parser_busy_is_refused_with_its_line(added: str, line: int, reason: str) -> None:
    assert (line, True) in [(fault.line, reason in fault.reason) for fault in text_faults(f"{TEXT}\n{added}")]


@pytest.mark.parametrize("unit", ["[", "![", "*a_ ", "`", "> ", "[a](", "[*"])
@pytest.mark.parametrize("between", ["", "\n\n"])
def test_a_text_made_to_be_slow_is_judged_quickly(unit: str, between: str) -> None:
    block = (unit * MAX_BLOCK)[:MAX_BLOCK] if between else unit
    text = TEXT + "\n" + ((block + between) * MAX_BYTES)[: MAX_BYTES - 200]
    start = time.process_time()
    with suppress(InvalidNoticeError):
        parse_text("en", text)
    assert time.process_time() - start < 10


def test_a_table_made_to_be_slow_is_judged_quickly() -> None:
    table = "|a" * 20 + "\n" + "|-" * 20 + "\n" + "|x\n" * 2500
    text = TEXT + ("\n" + table) * 2
    start = time.process_time()
    with suppress(InvalidNoticeError):
        parse_text("en", text[: MAX_BYTES - 200])
    assert time.process_time() - start < 10
