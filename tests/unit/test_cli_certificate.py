"""Witnesses, targets of every kind, certificates and statements on the command line, offline."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from idv import checkpoint as notes
from idv import merkle, receipts
from idv.checkpoint import Checkpoint

from tests.cli_run import idv
from tests.unit.test_receipt_forgeries import KEY, LOG, OTHER_WITNESS, SECRET, SEEN_BY, cosigned

REQUEST = "0f8c2a4e-7a56-4a3f-9d6b-2f1f5a3c9e10"
RECORD = "customers/acme/sessions/s1/records/r1"
NASTY = "<script>alert('x')</script> & \"quoted\""


def written(folder: Path, **entry: Any) -> Path:
    """A receipt of one leaf with this entry, cosigned."""
    opening = receipts.Opening(
        bytes(32), receipts.canonical({"kind": "deletion", "record_count": 3, **entry})
    )
    root = merkle.leaf_hash(opening.leaf())
    note = cosigned(notes.sign_note(Checkpoint(LOG, 1, root).text(), LOG, SECRET))
    file = folder / "receipt.json"
    file.write_text(receipts.render(opening, opening.leaf(), 0, [], note))
    return file


def verify(file: Path, *more: str) -> Any:
    return idv("receipt", "verify", str(file), "--key", str(KEY), *more, "--json")


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ({"record": RECORD}, ["--record", RECORD]),
        ({"session": "customers/acme/sessions/s1"}, ["--session", "customers/acme/sessions/s1"]),
        ({"subject": "user-17"}, ["--subject", "user-17"]),
        ({"category": "face_image"}, ["--category", "face_image"]),
        ({"everything": "true"}, ["--everything"]),
        (
            {
                "received": {
                    "start_time": "2026-11-24T00:00:00.000000Z",
                    "end_time": "2026-11-25T10:30:00.000000Z",
                }
            },
            ["--from", "2026-11-24", "--until", "2026-11-25T10:30"],
        ),
        (
            {"targets": {"0": {"record": RECORD}, "1": {"subject": "a"}, "2": {"subject": "b"}}},
            ["--subject", "a", "--record", RECORD, "--subject", "b"],
        ),
        ({"targets": {"0": {"subject": "user-17"}}}, ["--subject", "user-17"]),
    ],
)
def test_was_it_this_is_answered_for_every_kind_of_target(
    tmp_path: Path, target: dict[str, Any], options: list[str]
) -> None:
    file = written(tmp_path, request=receipts.commitment(REQUEST, target))
    assert verify(file, "--request-id", REQUEST, *options).json["target_confirmed"] is True
    other = "0f8c2a4e-7a56-4a3f-9d6b-2f1f5a3c9e11"
    for asked in (["--request-id", other, *options], ["--request-id", REQUEST, "--subject", "somebody"]):
        ended = verify(file, *asked)
        assert (ended.code, ended.json["error"]["metadata"]["fault"]) == (1, "other-target")
    assert verify(file, *options).code == 2, "the request's id is needed too"


@pytest.mark.parametrize(
    "options",
    [
        ["--from", "2026-11-24"],
        ["--everything", "--subject", "a"],
        ["--from", "2026-11-24", "--until", "2026-11-25", "--everything"],
    ],
)
def test_half_a_time_or_two_kinds_of_target_are_wrong_usage(tmp_path: Path, options: list[str]) -> None:
    assert verify(written(tmp_path), "--request-id", REQUEST, *options).code == 2


def test_witnesses_and_a_quorum_are_asked_for_on_the_command_line(tmp_path: Path) -> None:
    file = written(tmp_path)
    (tmp_path / "witnesses").write_text(f"{SEEN_BY}\n{OTHER_WITNESS}\n")
    seen = verify(file, "--witness", str(SEEN_BY))
    assert list(seen.json["cosigned"]) == [str(SEEN_BY)]
    both = ("--witness-file", str(tmp_path / "witnesses"))
    ended = verify(file, *both)
    assert (ended.code, ended.json["error"]["metadata"]["fault"]) == (1, "not-witnessed")
    assert verify(file, *both, "--quorum", "1").code == 0
    assert verify(file, *both, "--quorum", "3").code == 2
    people = idv("receipt", "verify", str(file), "--key", str(KEY), "--witness", str(SEEN_BY))
    assert SEEN_BY.name in people.out


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_certificate_is_one_page_that_loads_nothing_and_holds_the_receipt(
    tmp_path: Path, language: str
) -> None:
    file = written(tmp_path, claim=NASTY, scope="subject", final_time="2026-12-24T10:15:00.000000Z")
    page = tmp_path / "page.html"
    ended = idv(
        *("receipt", "certificate", str(file), "--key", str(KEY), "--witness", str(SEEN_BY)),
        *("--language", language, "-o", str(page)),
    )
    assert ended.code == 0, ended.err
    text = page.read_text(encoding="utf-8")
    assert f'<html lang="{language}">' in text
    assert "<script" not in text
    assert not re.search(r"\b(src|href|url|@import)\b\s*[=(]", text)
    assert "default-src 'none'" in unescape(text)
    assert NASTY not in text
    assert "2026-12-24 10:15:00 UTC" in text
    assert SEEN_BY.name in text
    held = unescape(text.partition('<pre class="receipt">')[2].partition("</pre>")[0])
    assert receipts.verify(held, KEY).entry["claim"] == NASTY


def test_no_certificate_is_made_of_what_does_not_verify(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text().replace('"record_count": 3', '"record_count": 4'))
    ended = idv("receipt", "certificate", str(file), "--key", str(KEY), "--json")
    assert (ended.code, ended.json["error"]["metadata"]["fault"]) == (1, "entry-altered")
    assert not file.with_suffix(".html").exists()


def test_a_statement_verifies_offline_and_a_deletions_receipt_is_none(tmp_path: Path) -> None:
    file = written(tmp_path, kind="statement", day="2026-11-24", nothing_past_term_readable="yes")
    ended = idv("statement", "verify", str(file), "--key", str(KEY), "--json")
    assert ended.json["statement"]["day"] == "2026-11-24"
    assert "nothing past its term" in idv("statement", "verify", str(file), "--key", str(KEY)).out
    bad = written(tmp_path, kind="statement", day="2026-11-24", nothing_past_term_readable="no")
    assert "COULD BE READ" in idv("statement", "verify", str(bad), "--key", str(KEY)).out
    ended = idv("statement", "verify", str(written(tmp_path)), "--key", str(KEY), "--json")
    assert (ended.code, ended.json["error"]["metadata"]["fault"]) == (1, "other-kind")
    file.write_text(json.dumps(json.loads(file.read_text())))
    assert idv("statement", "verify", str(file), "--key", str(KEY)).code == 1
