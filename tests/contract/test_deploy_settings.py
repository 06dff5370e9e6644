"""In a pod of each role, the service's own settings class takes what file, variables and mounts give."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from services.cli.migrate import Schema
from services.local.authority import DevelopmentAuthority
from services.local.tokens import SigningKey
from services.retention import sealing, signing
from services.runtime.settings import ServiceSettings
from services.runtime.settings_loading import load_settings
from tests.manifests import EXAMPLE, ROLES, container, made_outside, named, pod, rendered, workloads

PLACEHOLDER = "postgresql://somebody:placeholder@database.example:5432/idv"


@pytest.mark.parametrize("role", ROLES)
def test_the_settings_of_a_service_can_be_used(
    role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a pod: the file, the variables, and of other files only what is mounted there."""
    workload = workloads(rendered(EXAMPLE))[role]
    _mount(workload, role, tmp_path)
    for source in container(workload)["envFrom"]:
        data = named(rendered(EXAMPLE), "ConfigMap", source["configMapRef"]["name"])["data"]
        for name, value in data.items():
            monkeypatch.setenv(name, value)
    for variable in container(workload).get("env", ()):
        secret = variable["valueFrom"]["secretKeyRef"]["key"]
        monkeypatch.setenv(variable["name"], PLACEHOLDER if secret.endswith("dsn") else secret)
    arguments = container(workload)["args"]
    assert arguments[:3] == ["serve", role, "--config"]
    file = tmp_path / str(arguments[3]).lstrip("/")
    file.write_text(file.read_text().replace("/etc/idv", str(tmp_path / "etc" / "idv")))
    cls: type[ServiceSettings] = getattr(
        import_module(f"services.{role}.settings"), f"{role.capitalize()}Settings"
    )
    settings = load_settings(cls, file)
    assert settings.environment == "production"
    assert (settings.deployment, settings.trust_domain) == ("acme-eu", "idv.example")


def test_migrations_have_the_logins_of_every_schema_and_nobody_but_storage_an_owners() -> None:
    found = workloads(rendered(EXAMPLE))
    held = {
        name: {
            variable["name"]: variable["valueFrom"]["secretKeyRef"]
            for variable in container(workload).get("env", ())
        }
        for name, workload in found.items()
    }
    wanted = {
        f"IDV_{schema.upper()}_DATABASE__{login.upper()}": {"name": f"{schema}-database", "key": login}
        for schema in Schema
        for login in ("dsn", "owner_dsn")
    }
    administrator = held["migrate"].pop("IDV_ADMIN_DSN")
    assert administrator["optional"] is True
    assert held["migrate"] == wanted
    assert container(found["migrate"])["args"][0] == "migrate"
    for name in ROLES:
        given = {variable: login for variable, login in held[name].items() if "DSN" in variable}
        own = {variable: login for variable, login in wanted.items() if login["name"] == f"{name}-database"}
        if name != "storage":
            own.pop(f"IDV_{name.upper()}_DATABASE__OWNER_DSN", None)
        assert given == own


def _mount(workload: Mapping[str, Any], role: str, root: Path) -> None:
    """Lays out a pod's files below `root`: settings as rendered, real keys under the names in the guide."""
    sources = {volume["name"]: volume for volume in pod(workload)["volumes"]}
    made = _keys(root / "made", role)
    told = made_outside()
    for mount in container(workload)["volumeMounts"]:
        folder = root / str(mount["mountPath"]).lstrip("/")
        folder.mkdir(parents=True)
        source = sources.get(mount["name"])
        if source is None:
            continue
        kind, name = (
            ("Secret", source["secret"]["secretName"])
            if "secret" in source
            else ("ConfigMap", source["configMap"]["name"])
        )
        if (kind, name) in told:
            for key in told[kind, name]:
                shutil.copy(made[key], folder / key)
        else:
            for key, text in named(rendered(EXAMPLE), kind, name)["data"].items():
                (folder / key).write_text(text)


def _keys(folder: Path, role: str) -> dict[str, Path]:
    folder.mkdir()
    certificate = DevelopmentAuthority(folder).service(role)
    sessions = SigningKey.open(folder, "sessions")
    signing.generate(folder / "log.pem")
    sealing.generate(folder / "request.key")
    return {
        "tls.crt": certificate.certificate,
        "tls.key": certificate.private_key,
        "ca.crt": certificate.authority,
        "jwks.json": sessions.public,
        "session.jwk": sessions.private,
        "log.pem": folder / "log.pem",
        "request.key": folder / "request.key",
    }
