"""Settings are checked whole: every fault at once, each with its remedy, none with a secret."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic_settings import SettingsConfigDict

from services.local.authority import DevelopmentAuthority
from services.runtime.settings import DatabaseSettings, ServiceSettings
from services.runtime.settings_loading import SettingsError, load_settings

DSN = "postgresql://idv_echo:hunter2@localhost/idv"


class EchoSettings(ServiceSettings):
    """A service with a database."""

    model_config = SettingsConfigDict(env_prefix="IDV_ECHO_")

    database: DatabaseSettings


def _good(folder: Path) -> dict[str, Any]:
    files = DevelopmentAuthority(folder).service("echo")
    return {
        "deployment": "test",
        "trust_domain": "idv.local",
        "listen_mtls": "127.0.0.1:0",
        "tls": {
            "certificate": str(files.certificate),
            "private_key": str(files.private_key),
            "authority": str(files.authority),
        },
        "database": {"dsn": DSN},
    }


def _load(folder: Path, values: dict[str, Any]) -> EchoSettings:
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(values))
    return load_settings(EchoSettings, file)


def _faults(folder: Path, values: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        _load(folder, values)
    assert "hunter2" not in str(caught.value)
    assert all(fault.remedy for fault in caught.value.faults)
    return {fault.field: fault.problem for fault in caught.value.faults}


def test_good_settings_pass(tmp_path: Path) -> None:
    settings = _load(tmp_path, _good(tmp_path))
    assert settings.database.dsn.get_secret_value() == DSN
    assert "hunter2" not in repr(settings)


def test_toml_serves_as_well(tmp_path: Path) -> None:
    tls = "\n".join(f'{name} = "{path}"' for name, path in _good(tmp_path)["tls"].items())
    file = tmp_path / "settings.toml"
    file.write_text(
        'deployment = "test"\ntrust_domain = "idv.local"\nlisten_mtls = "127.0.0.1:0"\n'
        f'[tls]\n{tls}\n[database]\ndsn = "{DSN}"\n'
    )
    assert load_settings(EchoSettings, file).deployment == "test"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDV_ECHO_DEPLOYMENT", "other")
    monkeypatch.setenv("IDV_ECHO_DATABASE__POOL_SIZE", "3")
    settings = _load(tmp_path, _good(tmp_path))
    assert (settings.deployment, settings.database.pool_size) == ("other", 3)
    assert settings.database.dsn.get_secret_value() == DSN


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    values = _good(tmp_path) | {
        "time_file": str(tmp_path / "time.json"),
        "listen_tls": "no-port",
        "customer_tokens": {"jwks": str(tmp_path / "absent.json"), "issuer": "x"},
        "database": {"dsn": "mysql://root:hunter2@localhost/idv", "pool_size": 0},
        "surplus": 1,
        "server": {"unary_deadline": -1},
    }
    values["tls"]["certificate"] = str(tmp_path / "absent.pem")
    del values["deployment"]
    faults = _faults(tmp_path, values)
    assert set(faults) == {
        "deployment",
        "listen_tls",
        "tls.certificate",
        "customer_tokens.jwks",
        "database.dsn",
        "database.pool_size",
        "time_file",
        "surplus",
        "server.unary_deadline",
    }
    assert "absent.pem" in faults["tls.certificate"]


def test_a_misspelt_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDV_ECHO_LISTEN_TSL", "127.0.0.1:1")
    assert set(_faults(tmp_path, _good(tmp_path))) == {"IDV_ECHO_LISTEN_TSL"}


def test_a_file_that_is_not_readable_as_settings_is_one_fault(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("a: [")
    with pytest.raises(SettingsError, match="not valid"):
        load_settings(EchoSettings, file)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(EchoSettings, tmp_path / "absent.yaml")


def test_a_key_of_another_certificate_is_a_fault(tmp_path: Path) -> None:
    values = _good(tmp_path)
    values["tls"]["private_key"] = str(DevelopmentAuthority(tmp_path).service("other").private_key)
    assert "is not the key of" in _faults(tmp_path, values)["tls"]


def test_files_that_hold_no_certificate_or_key_are_faults(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("nothing")
    for name in ("certificate", "private_key", "authority"):
        values = _good(tmp_path)
        values["tls"][name] = str(tmp_path / "empty.txt")
        assert "empty.txt" in _faults(tmp_path, values)["tls"]


def test_time_travel_is_honoured_only_in_a_local_environment(tmp_path: Path) -> None:
    values = _good(tmp_path) | {"time_file": str(tmp_path / "time.json")}
    assert set(_faults(tmp_path, values)) == {"time_file"}
    assert _load(tmp_path, values | {"environment": "local"}).time_file


def test_keys_over_plain_http_are_refused_in_production(tmp_path: Path) -> None:
    values = _good(tmp_path) | {"customer_tokens": {"jwks": "http://id.example.com/jwks", "issuer": "x"}}
    assert set(_faults(tmp_path, values)) == {"customer_tokens"}


def test_a_service_without_any_port_is_refused(tmp_path: Path) -> None:
    values = _good(tmp_path) | {"listen_mtls": None}
    assert set(_faults(tmp_path, values)) == {"listen_mtls"}


def test_a_variable_that_is_no_table_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDV_ECHO_DATABASE", "hunter2")
    faults = _faults(tmp_path, _good(tmp_path))
    assert "database" in faults["environment"]


def test_a_certificate_past_its_end_is_a_fault(tmp_path: Path) -> None:
    values = _good(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ended")])
    end = datetime.now(UTC) - timedelta(seconds=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, end - timedelta(days=1), end)
    certificate = builder.sign(key, hashes.SHA256())
    encoding = serialization.Encoding.PEM
    format_ = serialization.PrivateFormat.PKCS8
    Path(values["tls"]["certificate"]).write_bytes(certificate.public_bytes(encoding))
    Path(values["tls"]["private_key"]).write_bytes(
        key.private_bytes(encoding, format_, serialization.NoEncryption())
    )
    assert "past its end" in _faults(tmp_path, values)["tls"]
