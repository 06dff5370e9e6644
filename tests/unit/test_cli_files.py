"""Files that commands read: items to submit, notice folders, kept sessions, settings."""

from __future__ import annotations

import stat
from importlib import resources
from pathlib import Path

import pytest
from idv.errors import IdvError

from services.cli.requests import request_id_or_derived
from services.cli.session import keep, kept
from services.cli.submit import EXAMPLE, parse
from tests.cli_run import idv

VERSION_1 = Path(str(resources.files("services.notice") / "versions" / "1"))


def test_example_of_items_is_what_submit_takes() -> None:
    printed = idv("submit", "--example")
    assert printed.code == 0
    assert printed.out == EXAMPLE
    items = parse(printed.out)
    assert items.device_hardware.model == "X-100"
    assert items.log_data.events[0].event == "capture.face.started"
    assert {field.name for field, _ in items.ListFields()} >= {"device_network", "device_permissions"}


def test_json_is_taken_as_well_as_yaml() -> None:
    assert parse('{"device_hardware": {"model": "M"}}').device_hardware.model == "M"


def test_times_without_quotes_are_taken() -> None:
    items = parse("host_application: {install_time: 2026-11-24T09:30:00Z}")
    assert items.host_application.install_time.seconds == 1795512600


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("device_hardware: {imei: '356938035643809'}", "items.device_hardware"),
        ("location: {latitude: 52.5}", "items"),
        ("device_permissions: {permissions: [{nme: x}]}", "items.device_permissions.permissions[0]"),
    ],
)
def test_unlisted_field_is_refused_by_name_and_without_its_value(text: str, field: str) -> None:
    with pytest.raises(IdvError) as refused:
        parse(text)
    assert refused.value.field == field
    assert "356938035643809" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "just words", "{a: [", "device_hardware: {memory_bytes: many}"])
def test_what_holds_no_items_is_refused(text: str) -> None:
    with pytest.raises(IdvError):
        parse(text)


def test_shipped_notice_is_good_and_its_twin_says_so() -> None:
    ended = idv("notice", "check", str(VERSION_1), "--json")
    assert ended.code == 0
    assert ended.json["good"] is True
    assert ended.json["retention_days"] == 30


def test_broken_notice_names_every_fault(tmp_path: Path) -> None:
    (tmp_path / "terms.yaml").write_text("retention_days: many\npurposes: []\n")
    ended = idv("notice", "check", str(tmp_path), "--json")
    assert ended.code == 1
    assert ended.json["error"]["reason"] == "NOTICE_INVALID"
    assert len(ended.json["error"]["violations"]) >= 1


def test_kept_session_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "session.json"
    keep(file, "customers/acme/sessions/s", "token")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert kept(str(file)) == ("customers/acme/sessions/s", "token")
    assert kept("customers/acme/sessions/s") == ("customers/acme/sessions/s", None)


def test_file_that_holds_no_session_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    ended = idv("upload", str(tmp_path / "other.json"), str(tmp_path / "other.json"), "--face", "selfie")
    assert ended.code == 2


def test_derived_request_id_follows_the_content() -> None:
    first, again, other = (request_id_or_derived(None, b"session", body) for body in (b"a", b"a", b"b"))
    assert first == again != other
    assert request_id_or_derived(None, b"ab", b"c") != request_id_or_derived(None, b"a", b"bc")


def test_request_id_that_is_no_uuid_is_wrong_usage() -> None:
    with pytest.raises(IdvError):
        request_id_or_derived("17", b"")


def test_settings_are_checked_whole(tmp_path: Path) -> None:
    (tmp_path / "storage.yaml").write_text("deployment: X\nunheard_of: 1\n")
    ended = idv("serve", "storage", "--config", str(tmp_path / "storage.yaml"), "--check", "--json")
    assert ended.code == 2
    fields = {violation["field"] for violation in ended.json["error"]["violations"]}
    assert {"deployment", "unheard_of", "tls", "database"} <= fields


def test_migrate_without_a_login_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IDV_STORAGE_DATABASE__OWNER_DSN", raising=False)
    ended = idv("migrate", "storage")
    assert ended.code == 2
    assert "IDV_STORAGE_DATABASE__OWNER_DSN" in ended.err
