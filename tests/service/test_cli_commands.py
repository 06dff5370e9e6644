"""Every command against a running stack, as `idv up` starts it: its JSON answers, and how it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from services.local import specimens
from services.local.addresses import with_login
from services.local.ready import Ready
from tests.cli_run import Ended, idv

ITEMS = ("device.hardware", "device.network", "device.application", "device.permissions", "log")


class Running(NamedTuple):
    """A stack started with `idv up`."""

    folder: Path
    ready: Path

    def idv(self, *arguments: str) -> Ended:
        """A command against this stack."""
        return idv(*arguments, "--connect", str(self.ready))

    def answer(self, *arguments: str) -> Any:
        """What a command answers as JSON."""
        ended = self.idv(*arguments, "--json")
        assert ended.code == 0, ended.out + ended.err
        return ended.json

    def refusal(self, *arguments: str) -> tuple[int, str]:
        """Exit code and reason of a command that is refused."""
        ended = self.idv(*arguments, "--json")
        return ended.code, ended.json["error"]["reason"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One running stack, stopped as Ctrl-C does."""
    folder = tmp_path_factory.mktemp("up")
    ready = folder / "ready.json"
    words = [
        sys.executable,
        "-m",
        "services",
        "up",
        "--dir",
        str(folder / "stack"),
        "--ready-file",
        str(ready),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            while not ready.exists():
                assert process.poll() is None, "it ended before it was ready"
                next(process.stdout or iter(()))  # each change of a process is a line
            yield Running(folder, ready)
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
    assert process.returncode == 0
    assert not ready.exists()


@pytest.fixture(scope="module")
def session(stack: Running) -> Path:
    """A session of every category, with items and a picture in it; the file that keeps it."""
    file = stack.folder / "session.json"
    asked = [word for item in (*ITEMS, "face_image", "identity_document") for word in ("--item", item)]
    stack.answer("session", "create", "--subject", "user-17", *asked, "--consent", "--save", str(file))
    (stack.folder / "items.yaml").write_text(idv("submit", "--example").out)
    stack.answer("submit", str(file), str(stack.folder / "items.yaml"))
    (stack.folder / "face.jpg").write_bytes(specimens.jpeg(specimens.face("specimen")).body)
    stack.answer("upload", str(file), str(stack.folder / "face.jpg"), "--face", "selfie")
    return file


def records(stack: Running, session: Path) -> dict[str, str]:
    """Names of the session's records by category."""
    listed = stack.answer("record", "list", "--session", str(session))["records"]
    return {record["category"]: record["name"] for record in listed}


def test_everything_that_was_sent_is_listed(stack: Running, session: Path) -> None:
    assert records(stack, session).keys() == {*ITEMS, "face_image"}
    by_subject = stack.answer("record", "list", "--subject", "user-17")["records"]
    assert len(by_subject) == len(ITEMS) + 1


def test_same_file_twice_is_one_request(stack: Running, session: Path) -> None:
    sent = [stack.answer("submit", str(session), str(stack.folder / "items.yaml")) for _ in range(2)]
    assert sent[0] == sent[1]


def test_session_is_described_by_file_and_by_name(stack: Running, session: Path) -> None:
    by_file = stack.answer("session", "get", str(session))
    assert by_file["state"] == "active"
    assert stack.answer("session", "get", by_file["name"]) == by_file


def test_picture_is_read_for_a_purpose_without_its_metadata(stack: Running, session: Path) -> None:
    name, output = records(stack, session)["face_image"], stack.folder / "read.jpg"
    stack.answer("record", "read", name, "--purpose", "verification", "--output", str(output))
    assert output.read_bytes().startswith(b"\xff\xd8")
    assert specimens.MARK.encode() not in output.read_bytes()
    assert output.stat().st_mode & 0o077 == 0


def test_typed_items_are_read_as_json(stack: Running, session: Path) -> None:
    name = records(stack, session)["device.hardware"]
    read = stack.answer("record", "read", name, "--purpose", "verification")
    assert read["items"]["model"] == "X-100"
    assert stack.answer("record", "get", name)["category"] == "device.hardware"


def test_troubleshooting_names_person_and_ticket_and_is_listed(stack: Running, session: Path) -> None:
    asked = ("record", "read", records(stack, session)["log"], "--purpose", "troubleshooting")
    support = (*asked, "--as", "service:support")
    assert stack.refusal(*support) == (1, "PURPOSE_REQUIRED")
    stack.answer(*support, "--person", "staff-7", "--ticket", "T-42")
    seen = stack.answer("access", "list", "--session", str(session))["accesses"]
    assert (seen[0]["person"], seen[0]["ticket"]) == ("staff-7", "T-42")


def test_accesses_are_listed_by_what_is_remarkable_counted_and_followed(
    stack: Running, session: Path
) -> None:
    record = records(stack, session)["device.hardware"]
    stack.answer("record", "read", record, "--purpose", "verification")
    first = stack.answer("access", "list", "--record", record, "--purpose", "verification")["accesses"][-1]
    assert (first["service"], first["record"]) == ("verification", record)
    flagged = stack.answer("access", "list", "--flag", "first_purpose")["accesses"]
    assert all(one["flags"] == ["first_purpose"] for one in flagged)
    assert {one["service"] for one in flagged} >= {"verification"}
    totals = stack.answer("access", "totals")["totals"]
    assert {one["service"] for one in totals} >= {"verification", "retention"}
    assert stack.idv("access", "list", "--flag", "odd").code == 2
    assert stack.idv("access", "list", "--cursor", "a1").code == 2
    assert stack.refusal("access", "list", "--follow", "--cursor", "x") == (1, "INVALID_ARGUMENT")
    follow = [sys.executable, "-m", "services", "access", "list", "--follow", "--json"]
    follow += ["--record", record, "--cursor", "a0", "--connect", str(stack.ready)]
    with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as process:
        followed = json.loads(next(process.stdout or iter(())))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert first in followed["accesses"]
    assert followed["cursor"]


def test_other_customer_is_refused(stack: Running, session: Path) -> None:
    assert stack.refusal("session", "get", str(session), "--as", "customer:globex") == (1, "WRONG_TENANT")


def test_session_without_consent_is_refused(stack: Running) -> None:
    asked = ("session", "create", "--subject", "user-18", "--item", "face_image")
    assert stack.refusal(*asked) == (1, "ATTESTATION_MISSING")


def test_identity_nobody_knows_is_wrong_usage(stack: Running) -> None:
    assert stack.idv("record", "list", "--subject", "x", "--as", "customer:nobody").code == 2
    assert stack.idv("record", "list", "--subject", "x", "--as", "service:storage").code == 2
    assert stack.idv("record", "list", "--subject", "x", "--as", "somebody").code == 2


def test_tokens_are_as_good_as_the_issued_ones(stack: Running, session: Path) -> None:
    assert stack.answer("token", "customer", "--scope", "ingest", "--minutes", "5")["scopes"] == ["ingest"]
    kept = json.loads(session.read_text())
    assert stack.answer("token", "upload", kept["session"])["token"] == kept["upload_token"]


def test_deletion_leaves_a_receipt_that_verifies_offline(stack: Running) -> None:
    file, receipt = stack.folder / "doomed.json", stack.folder / "receipt.json"
    stack.answer("session", "create", "--subject", "doomed", "--item", "log", "--save", str(file))
    deleted = stack.answer("delete", "subject", "doomed", "--receipt", str(receipt))
    assert deleted["deletion"]["state"] == "done"
    key = ("--key-file", str(stack.folder / "stack" / "keys" / "log.pub"))
    proven = idv(
        "receipt", "verify", str(receipt), *key, "--request-id", deleted["request_id"], "--subject", "doomed"
    )
    assert proven.code == 0, proven.err
    repeated = (
        "delete",
        "subject",
        "doomed",
        "--receipt",
        str(receipt),
        "--request-id",
        deleted["request_id"],
    )
    assert stack.answer(*repeated)["deletion"] == deleted["deletion"]
    assert stack.refusal("submit", str(file), str(_log(stack))) == (1, "ERASED")


def test_a_deletion_is_counted_first_and_several_end_with_an_outcome_each(stack: Running) -> None:
    for subject in ("leaver-1", "leaver-2"):
        file = stack.folder / f"{subject}.json"
        stack.answer("session", "create", "--subject", subject, "--item", "log", "--save", str(file))
        stack.answer("submit", str(file), str(_log(stack)))
    (stack.folder / "leavers.txt").write_text("leaver-1\n\nleaver-2\n")
    missing = "customers/acme/sessions/0197f0a0-0000-7000-8000-000000000001"
    several = ("delete", "several", "--subjects", str(stack.folder / "leavers.txt"), "--session", missing)
    counted = stack.answer(*several, "--dry-run")["deletion"]
    assert (counted["record_count"], counted["session_count"]) == (2, 2)
    receipt = stack.folder / "several-receipt.json"
    deleted = stack.answer(*several, "--receipt", str(receipt))["deletion"]
    assert deleted["state"] == "partial"
    assert [one["state"] for one in deleted["outcomes"]] == ["failed", "done", "done"]
    assert deleted["record_count"] == 2
    assert stack.answer(*several[:4], "--dry-run")["deletion"]["record_count"] == 0
    assert stack.answer("delete", "everything", "--dry-run")["deletion"]["session_count"] > 0
    assert stack.refusal("delete", "everything") == (2, "INVALID_ARGUMENT")
    span = ("--from", "2020-01-01", "--until", "2020-01-02")
    assert stack.answer("delete", "received", *span, "--dry-run")["deletion"]["record_count"] == 0
    assert stack.refusal("delete", "category", "imei") == (1, "INVALID_ARGUMENT")


def test_restriction_and_opt_out_hold_until_they_are_lifted(stack: Running) -> None:
    file = stack.folder / "limited.json"
    stack.answer("session", "create", "--subject", "limited", "--item", "log", "--save", str(file))
    record = stack.answer("submit", str(file), str(_log(stack)))["records"][0]["name"]
    read = ("record", "read", record, "--purpose", "verification")
    restricted = stack.answer("restrict", "limited", "--reason", "accuracy_contested")
    assert (restricted["record_count"], "expire_time" in restricted) == (1, True)
    assert stack.refusal(*read) == (1, "RESTRICTED")
    stack.answer("restrict", "limited", "--lift")
    assert stack.idv(*read, "--json").code == 0
    assert stack.idv("restrict", "limited", "--reason", "whim").code == 2
    assert stack.answer("opt-out", "limited", "--item", "log")["opted_out"]
    assert stack.refusal("submit", str(file), str(_log(stack))) == (1, "OPTED_OUT")
    again = ("session", "create", "--subject", "limited", "--item", "log")
    assert stack.refusal(*again, "--save", str(stack.folder / "no.json")) == (1, "OPTED_OUT")
    stack.answer("opt-out", "limited", "--lift")
    assert stack.answer(*again, "--save", str(stack.folder / "yes.json"))


def test_log_proves_what_it_holds_and_that_it_only_grows(stack: Running) -> None:
    kept = stack.folder / "monday.checkpoint"
    stack.answer("log", "checkpoint", "--save", str(kept))
    file = stack.folder / "other.json"
    stack.answer("session", "create", "--subject", "other", "--item", "log", "--save", str(file))
    stack.answer("delete", "session", str(file), "--receipt", str(stack.folder / "other-receipt.json"))
    grown = stack.answer("log", "verify", str(kept))
    assert grown["second_size"] > grown["first_size"]
    entries = stack.answer("log", "list")["entries"]
    assert stack.answer("log", "proof", str(entries[-1]["index"]))["verified"] is True


def test_forged_checkpoint_is_not_as_promised(stack: Running) -> None:
    kept = stack.folder / "forged.checkpoint"
    note = stack.answer("log", "checkpoint")["note"]
    kept.write_text(note.replace("\n", "\n9", 1))
    assert stack.idv("log", "verify", str(kept)).code == 4


def test_notice_is_drafted_reviewed_announced_and_listed(stack: Running) -> None:
    folder = stack.folder / "version"
    folder.mkdir()
    shipped = Path(specimens.__file__).parents[1] / "notice" / "versions" / "1"
    for file in shipped.iterdir():
        (folder / file.name).write_text(file.read_text())
    with (folder / "text.en.md").open("a") as text:
        text.write("\nA sentence more.\n")
    number = str(stack.answer("notice", "draft", str(folder))["notice"]["version"])
    review = stack.answer("notice", "review", number)
    assert (review["changes"], review["material"]) == ([], False)
    assert "only the text changes" in review["refusals"][0]
    word = ("--declare", "immaterial", "--reason", "a sentence to read more easily")
    assert stack.answer("notice", "review", number, *word)["refusals"] == []
    assert stack.answer("notice", "announce", number, *word)["notice"]["announce_time"]
    assert stack.answer("notice", "list")["notices"][0]["version"] == int(number)
    assert stack.answer("notice", "terms", "1")["retention_days"] == 30
    assert "A sentence more." in stack.idv("notice", "show", number).out


def test_doctor_finds_everything_well(stack: Running) -> None:
    findings = stack.answer("doctor")["findings"]
    assert {finding["health"] for finding in findings} == {"good"}
    assert {finding["check"] for finding in findings} >= {
        "certificates",
        "clocks",
        "database",
        "objects",
        "log",
    }


def test_schemas_are_up_to_date(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = Ready.read(stack.ready)
    passwords = json.loads((stack.folder / "stack" / "secrets.json").read_text())
    for schema in ("storage", "retention", "notice"):
        owner = f"idv_{schema}_owner"
        dsn = with_login(ready.postgres.dsn, owner, passwords[owner])
        monkeypatch.setenv(f"IDV_{schema.upper()}_DATABASE__OWNER_DSN", dsn)
    ended = idv("migrate", "--status", "--json")
    assert ended.code == 0
    assert {schema["state"] for schema in ended.json["schemas"]} == {"up to date"}
    assert idv("migrate").code == 0


def _log(stack: Running) -> Path:
    file = stack.folder / "log.yaml"
    event = {"event_time": "2026-11-24T09:30:00Z", "severity": "LOG_SEVERITY_INFO", "event": "capture.done"}
    file.write_text(json.dumps({"log_data": {"events": [event]}}))
    return file


def test_customers_are_registered_changed_suspended_and_exported(stack: Running) -> None:
    made = stack.answer(
        *("customer", "create", "initech", "--name", "Initech", "--email", "privacy@initech.example"),
        *("--language", "zh-Hans", "--time-zone", "Asia/Shanghai", "--item", "device.network.dns_ip"),
    )
    assert (made["state"], made["optional_items"]) == ("active", ["device.network.dns_ip"])
    assert stack.answer("customer", "update", "initech", "--region", "APAC")["region"] == "APAC"
    assert stack.answer("customer", "suspend", "initech")["state"] == "suspended"
    assert stack.answer("customer", "activate", "initech")["state"] == "active"
    assert stack.answer("customer", "show", "initech")["email"] == "privacy@initech.example"
    assert "initech" in [
        one["name"].rpartition("/")[2] for one in stack.answer("customer", "list")["customers"]
    ]
    assert stack.refusal("customer", "show", "nobody-here") == (1, "NOT_FOUND")
    assert stack.refusal("customer", "update", "initech") == (2, "INVALID_ARGUMENT")
    file = stack.folder / "exported.csv"
    stack.answer("customer", "export", str(file))
    assert "privacy@initech.example" in file.read_text()


def test_a_table_of_customers_is_imported_whole_or_refused_by_line(stack: Running) -> None:
    file = stack.folder / "customers.csv"
    head = "id,display_name,email\n"
    file.write_text(head + "hooli,Hooli,privacy@hooli.example\nx,,nobody\n")
    broken = stack.idv("customer", "import", str(file))
    assert broken.code == 2
    assert all(f"line 3 {column}" in broken.err for column in ("id", "display_name", "email"))
    file.write_text(head + "hooli,Hooli,privacy@hooli.example\nacme2,Acme,privacy@acme.example\n")
    assert stack.answer("customer", "import", str(file), "--check")["customers"] == 2
    assert stack.answer("customer", "import", str(file))["customer_count"] == 2
    assert stack.answer("customer", "import", str(file))["customer_count"] == 2, (
        "the same table is one import"
    )
    file.write_text(head + "third,Third,privacy@third.example\nhooli,Hooli,privacy@hooli.example\n")
    taken = stack.idv("customer", "import", str(file))
    assert "line 3 id" in taken.err, "what the service finds is told by line too"
    assert stack.refusal("customer", "show", "third") == (1, "NOT_FOUND")


def test_an_end_users_request_is_entered_listed_and_resolved(stack: Running) -> None:
    entered = stack.answer("relay", "enter", "opt_out", "--customer", "acme")
    assert entered["reason"] == "END_USER_REQUEST_REFUSED"
    assert entered["ask"] == "customers/acme"
    for words in (("--customer", "acme"), ("--as", "customer:acme")):
        listed = stack.answer("relay", "list", *words)["relays"]
        assert [(one["case_number"], one["kind"]) for one in listed] == [(entered["case_number"], "opt_out")]
    assert stack.answer("relay", "resolve", entered["case_number"])["state"] == "resolved"
    assert stack.refusal("relay", "resolve", "R-0000000000") == (2, "INVALID_ARGUMENT")
    assert stack.refusal("relay", "enter", "everything") == (2, "INVALID_ARGUMENT")
