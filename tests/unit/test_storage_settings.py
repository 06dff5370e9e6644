"""The settings of storage: what it cannot do without is named before it starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from services.local.authority import DevelopmentAuthority
from services.local.tokens import SigningKey
from services.runtime.settings_loading import SettingsError, load_settings
from services.storage.settings import StorageSettings

OWNER = "postgresql://idv_storage_owner:hunter2@127.0.0.1:5432/idv"


def written(folder: Path, **database: str) -> Path:
    """A settings file with these logins beside the runtime role's."""
    files = DevelopmentAuthority(folder).service("storage")
    values = {
        "deployment": "test",
        "trust_domain": "idv.example",
        "listen_mtls": "127.0.0.1:0",
        "tls": {name: str(path) for name, path in vars(files).items()},
        "session_tokens": {"jwks": str(SigningKey.open(folder, "sessions").public)},
        "database": {"dsn": "postgresql://idv_storage:hunter2@127.0.0.1:5432/idv", **database},
        "objects": {"endpoint": "http://127.0.0.1:1", "access_key": "key", "secret_key": "hunter2"},
        "keys": {"file": str(folder / "slots")},
    }
    file = folder / "storage.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def test_good_settings_are_taken(tmp_path: Path) -> None:
    settings = load_settings(StorageSettings, written(tmp_path, owner_dsn=OWNER))
    assert settings.objects.bucket_prefix == "idv-"


def test_without_the_owners_login_the_fault_is_named_and_no_secret_is(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings(StorageSettings, written(tmp_path))
    assert [fault.field for fault in refusal.value.faults] == ["database"]
    assert "owner_dsn" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
