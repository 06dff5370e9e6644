"""The ready file: written whole and closed, read back as it was, refused with the remedy where it is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.local.errors import LocalError
from services.local.ready import MailAddress, ObjectsAddress, PostgresAddress, Ready, ServiceAddress


@pytest.fixture
def ready(tmp_path: Path) -> Ready:
    service = ServiceAddress(
        tls=None,
        mtls="127.0.0.1:1",
        health="127.0.0.1:2",
        pid=3,
        log=tmp_path / "log",
        telemetry=tmp_path,
    )
    keys = {"access_key": "a", "secret_key": "s"}
    urls = {"endpoint": "http://127.0.0.1:5", "filer": "http://127.0.0.1:6"}
    return Ready(
        directory=tmp_path,
        deployment="local",
        trust_domain="idv.local",
        supervisor_pid=7,
        services={"storage": service},
        postgres=PostgresAddress(dsn="postgresql://u:p@127.0.0.1:4/idv", pid=4, log=tmp_path / "log"),
        objects=ObjectsAddress(**urls, **keys, pid=5, log=tmp_path / "log"),
        mail=MailAddress(address="127.0.0.1:8", directory=tmp_path),
        ca=tmp_path / "ca.pem",
        certificates={},
        tokens={"acme": "t"},
        scopes=("ingest",),
        log_public_key="k",
        log_public_key_file=tmp_path / "log.pub",
        public_page="http://127.0.0.1:9/",
        time_file=tmp_path / "time.json",
    )


def test_it_is_read_back_as_it_was_written(ready: Ready, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "ready.json"
    ready.write(path)
    assert Ready.read(path) == ready


def test_it_is_closed_to_other_users_and_written_in_one_step(ready: Ready, tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    ready.write(path)
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in tmp_path.iterdir()] == ["ready.json"]


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"version": 2}'])
def test_what_is_no_ready_file_is_refused_with_the_remedy(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ready.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(LocalError, match="idv up") as refused:
        Ready.read(path)
    assert str(path) in refused.value.message
