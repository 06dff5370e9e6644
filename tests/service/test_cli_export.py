"""`idv export` and `idv correct` against a running stack: what they write, say and refuse."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tests.service.test_cli_commands import Running, records, session, stack

__all__ = ["session", "stack"]


def test_an_export_is_written_verified_and_for_its_owner_alone(stack: Running, session: Path) -> None:
    file = stack.folder / "user-17.zip"
    told = stack.answer("export", "user-17", "--output", str(file))
    assert (told["output"], told["customer"]) == (str(file), "customers/acme")
    assert file.stat().st_mode & 0o077 == 0
    assert "index.html" in zipfile.ZipFile(file).namelist()
    assert stack.answer("export", "--verify", "--output", str(file)) == told
    shown = stack.idv("export", "--verify", "--output", str(file))
    assert "verified" in shown.out
    assert "Traceback" not in shown.out + shown.err
    assert [each.name for each in stack.folder.glob("user-17.zip*")] == ["user-17.zip"]


def test_an_export_that_is_not_said_or_was_altered_is_refused_in_words(stack: Running, session: Path) -> None:
    assert stack.idv("export").code == 2
    assert stack.idv("export", "user-17", "--everything").code == 2
    file = stack.folder / "altered.zip"
    stack.answer("export", "user-17", "--output", str(file))
    file.write_bytes(file.read_bytes()[:-40])
    refused = stack.idv("export", "--verify", "--output", str(file))
    assert refused.code == 2
    assert "new request id" in refused.err
    missing = stack.idv("export", "--verify", "--output", str(stack.folder / "missing.zip"))
    assert missing.code != 0
    assert "Traceback" not in missing.err


def test_a_correction_supersedes_and_a_second_or_a_wrong_file_is_refused(
    stack: Running, session: Path
) -> None:
    wrong = records(stack, session)["device.hardware"]
    items = stack.folder / "right.yaml"
    items.write_text("device_hardware:\n  model: X-200\n")
    answer = stack.answer("correct", wrong, str(items))
    assert answer["record"]["supersedes"] == wrong
    assert stack.answer("correct", wrong, str(items)) == answer, "the same command is the same request"
    items.write_text("device_hardware:\n  model: X-300\n")
    assert stack.refusal("correct", wrong, str(items)) == (1, "ERASED")
    read = stack.answer("record", "read", answer["record"]["name"], "--purpose", "verification")
    assert read["items"]["model"] == "X-200"
    for broken in ("device_hardware: [", "no_such_part: {}\n", ""):
        items.write_text(broken)
        refused = stack.idv("correct", answer["record"]["name"], str(items))
        assert refused.code != 0
        assert "Traceback" not in refused.err
    missing = stack.idv("correct", answer["record"]["name"], str(stack.folder / "missing.yaml"))
    assert missing.code != 0
    assert "Traceback" not in missing.err
