"""`idv migrate` on a real server: from nothing to the newest schema, and again without a change."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from services.local.addresses import with_database, with_login
from services.local.databases import role_password
from services.local.postgres import Postgres
from tests.cli_run import idv

SCHEMAS = ("storage", "retention", "notice")


@pytest_asyncio.fixture
async def empty_database(postgres: Postgres) -> AsyncIterator[str]:
    """The administrator's address of a database without any schema of ours."""
    name = f"idv_cli_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(postgres.admin_dsn)
    await admin.execute(f'CREATE DATABASE "{name}"')
    yield with_database(postgres.admin_dsn, name)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture
def logins(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Logins in the environment, as the services take them; returns the administrator's address."""
    for schema in SCHEMAS:
        password = role_password(empty_database, schema)
        for setting, role in (("DSN", f"idv_{schema}"), ("OWNER_DSN", f"idv_{schema}_owner")):
            dsn = with_login(empty_database, role, password)
            monkeypatch.setenv(f"IDV_{schema.upper()}_DATABASE__{setting}", dsn)
    return empty_database


def test_migrate_makes_every_schema_and_repeats_without_a_change(logins: str) -> None:
    first = idv("migrate", "--admin-dsn", logins, "--json")
    assert first.code == 0, first.out + first.err
    assert {schema["service"]: schema["state"] for schema in first.json["schemas"]} == dict.fromkeys(
        SCHEMAS, "up to date"
    )
    assert idv("migrate", "--admin-dsn", logins, "--json").json == first.json
    assert idv("migrate", "--status", "--json").json == first.json


def test_status_of_a_database_without_schema_is_not_up_to_date(logins: str) -> None:
    idv("migrate", "storage", "--admin-dsn", logins)
    ended = idv("migrate", "--status", "retention", "--json")
    assert ended.code == 3
    assert ended.json["schemas"][0]["state"] == "no schema"
    assert "idv migrate" in ended.err
    assert "local-" not in ended.out + ended.err


@pytest.mark.parametrize("as_administrator", [False, True])
def test_a_refused_login_is_one_sentence_with_its_remedy(
    logins: str, monkeypatch: pytest.MonkeyPatch, as_administrator: bool
) -> None:
    idv("migrate", "storage", "--admin-dsn", logins)
    if as_administrator:
        ended = idv("migrate", "storage", "--json", "--admin-dsn", with_login(logins, "idv_admin", "wr0ng"))
        setting = "--admin-dsn"
    else:
        setting = "IDV_STORAGE_DATABASE__OWNER_DSN"
        monkeypatch.setenv(setting, with_login(logins, "idv_storage_owner", "wr0ng"))
        ended = idv("migrate", "storage", "--json")
    assert ended.code == 3
    assert "refuses the login" in ended.json["error"]["message"]
    assert setting in ended.json["error"]["remedy"]
    assert "wr0ng" not in ended.out + ended.err


def test_other_errors_of_the_database_are_sentences_too(logins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    idv("migrate", "storage", "--admin-dsn", logins)
    owner = with_login(logins, "idv_storage_owner", role_password(logins, "storage"))
    for dsn, said in (
        (with_database(owner, "nowhere"), "does not exist"),
        (with_login(logins, "idv_notice", role_password(logins, "notice")), "log in through"),
    ):
        monkeypatch.setenv("IDV_STORAGE_DATABASE__OWNER_DSN", dsn)
        for arguments in ((), ("--status",)):
            ended = idv("migrate", "storage", "--json", *arguments)
            assert ended.code == 3, ended.err
            assert said in ended.err
            assert len(ended.err.strip().splitlines()) == 1


def test_a_login_that_is_no_address_is_wrong_usage(logins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert idv("migrate", "storage", "--admin-dsn", "mysql://root@127.0.0.1/idv").code == 2
    for dsn in ("no address", "postgresql://owner:hidden@127.0.0.1:x/idv"):
        monkeypatch.setenv("IDV_STORAGE_DATABASE__OWNER_DSN", dsn)
        ended = idv("migrate", "storage", "--json")
        assert ended.code == 2
        assert "hidden" not in ended.out + ended.err


def test_server_that_is_away_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDV_NOTICE_DATABASE__OWNER_DSN", "postgresql://owner:hidden@127.0.0.1:1/idv")
    ended = idv("migrate", "notice", "--json")
    assert ended.code == 3
    assert ended.json["error"]["reason"] == "UNAVAILABLE"
    assert "hidden" not in ended.out + ended.err
