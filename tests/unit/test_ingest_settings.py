"""The settings of ingest: a key with which no upload token could ever pass is named before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.ingest.settings import IngestSettings
from services.local.authority import DevelopmentAuthority
from services.local.tokens import SigningKey
from services.runtime.settings_loading import SettingsError, load_settings


def loaded(folder: Path, **changes: Any) -> IngestSettings:
    """Settings from a file in `folder`, good but for the changes."""
    files = DevelopmentAuthority(folder).service("ingest")
    sessions = SigningKey.open(folder, "sessions")
    values = {
        "deployment": "test",
        "trust_domain": "idv.example",
        "listen_tls": "127.0.0.1:0",
        "tls": {name: str(path) for name, path in vars(files).items()},
        "session_tokens": {"jwks": str(sessions.public)},
        "session_key": str(sessions.private),
        "storage_target": "127.0.0.1:1",
        "notice_target": "127.0.0.1:2",
    }
    file = folder / "ingest.yaml"
    file.write_text(yaml.safe_dump(values | changes))
    return load_settings(IngestSettings, file)


def faults(folder: Path, **changes: Any) -> dict[str, str]:
    with pytest.raises(SettingsError) as refusal:
        loaded(folder, **changes)
    assert all(fault.remedy for fault in refusal.value.faults)
    return {fault.field: fault.problem for fault in refusal.value.faults}


def test_good_settings_are_taken(tmp_path: Path) -> None:
    assert loaded(tmp_path).session_seconds == 1800


def test_a_file_that_holds_no_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("[]")
    told = faults(tmp_path, session_key=str(tmp_path / "other"))
    assert "no JWK" in told["session_key"]


def test_a_key_whose_public_half_is_not_published_is_named(tmp_path: Path) -> None:
    stranger = SigningKey.open(tmp_path, "stranger")
    told = faults(tmp_path, session_key=str(stranger.private))
    assert "no upload token would be accepted" in told["session_key"]


def test_a_file_that_is_no_key_set_is_named_with_every_other_fault(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{}")
    told = faults(tmp_path, session_tokens={"jwks": str(tmp_path / "broken.json")}, storage_target="storage")
    assert told.keys() == {"session_tokens.jwks", "storage_target"}
