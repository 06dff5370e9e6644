"""The manifests, rendered by the real kustomize: valid, restricted, with settings that the services take."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from services.cli.migrate import Schema
from services.local.authority import DevelopmentAuthority
from services.local.tokens import SigningKey
from services.retention import sealing, signing
from services.runtime.settings import ServiceSettings, load_settings
from tests.documents import ROOT
from tests.manifests import ROLES, container, kinds, labels, named, pod, rendered, workloads
from tests.reachability import selects

EXAMPLE = "overlays/example"
GUIDE = ROOT / "docs" / "deploy.md"
PLACEHOLDER = "postgresql://somebody:placeholder@database.example:5432/idv"


def expected_from_outside() -> dict[tuple[str, str], set[str]]:
    """What the guide tells to make before: kind and name, and its keys."""
    rows = re.findall(r"^\| (Secret|ConfigMap) \| `([\w-]+)` \| ([^|]+) \|", GUIDE.read_text(), re.MULTILINE)
    return {(kind, name): set(re.findall(r"`([\w.]+)`", keys)) for kind, name, keys in rows}


@pytest.mark.parametrize("folder", ["base", EXAMPLE])
def test_every_object_is_valid_by_the_strict_schema(folder: str) -> None:
    objects = rendered(folder)
    assert len(objects) > 25
    for one in objects:
        kubernetes_validate.validate(dict(one), kubernetes_validate.latest_version(), strict=True)
        assert one["metadata"].get("namespace", "idv") == "idv"


@pytest.mark.parametrize("name", [*ROLES, "migrate"])
def test_every_pod_is_restricted(name: str) -> None:
    workload = workloads(rendered(EXAMPLE))[name]
    spec, only = pod(workload), container(workload)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False, "IDV_… variables of the cluster's making would stop the start"
    assert spec["serviceAccountName"] == name
    assert named(rendered(EXAMPLE), "ServiceAccount", name)["automountServiceAccountToken"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert security["fsGroupChangePolicy"] == "OnRootMismatch", "else the slot file's mode is opened"
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & spec.keys()
    assert {next(iter(volume.keys() - {"name"})) for volume in spec.get("volumes", ())} <= {
        "configMap",
        "secret",
    }
    assert only["resources"]["limits"]["memory"] == only["resources"]["requests"]["memory"]


def test_the_namespace_admits_only_restricted_pods() -> None:
    (namespace,) = kinds(rendered(EXAMPLE), "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("role", ROLES)
def test_a_service_is_probed_on_its_health_port_and_given_time_to_drain(role: str) -> None:
    workload = workloads(rendered(EXAMPLE))[role]
    only = container(workload)
    settings = _settings_text(role)
    health = int(settings["listen_health"].rpartition(":")[2])
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert only[probe]["grpc"] == {"port": health}
    opened = {name: int(value.rpartition(":")[2]) for name, value in settings.items() if "listen_" in name}
    assert {port["containerPort"] for port in only["ports"]} == set(opened.values())
    drained = sum(ServiceSettings.model_fields[name].default for name in ("drain_seconds", "grace_seconds"))
    assert pod(workload)["terminationGracePeriodSeconds"] >= drained + 10
    assert {one["topologyKey"] for one in pod(workload)["topologySpreadConstraints"]} == {
        "topology.kubernetes.io/zone",
        "kubernetes.io/hostname",
    }


def test_storage_runs_once_beside_its_slot_file_and_the_others_more_than_once() -> None:
    found = workloads(rendered(EXAMPLE))
    storage = found.pop("storage")
    assert (storage["kind"], storage["spec"]["replicas"]) == ("StatefulSet", 1)
    (claim,) = storage["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    (mounted,) = [
        mount["mountPath"]
        for mount in container(storage)["volumeMounts"]
        if mount["name"] == claim["metadata"]["name"]
    ]
    assert Path(_settings_text("storage")["keys"]["file"]).is_relative_to(mounted)
    assert set(storage["spec"]["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
    found.pop("migrate")
    assert all(one["kind"] == "Deployment" and one["spec"]["replicas"] > 1 for one in found.values())


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget"])
def test_every_selector_finds_the_pods_of_one_role(kind: str) -> None:
    found = workloads(rendered(EXAMPLE))
    chosen: set[str] = set()
    for one in kinds(rendered(EXAMPLE), kind):
        selector = one["spec"]["selector"]
        selector = {"matchLabels": selector} if kind == "Service" else selector
        (role,) = [name for name, workload in found.items() if selects(selector, labels(workload))]
        assert one["metadata"]["name"].startswith(role)
        chosen.add(role)
        if kind == "Service":
            ports = {port["name"] for port in container(found[role])["ports"]}
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports - {"health"}
    assert chosen == set(ROLES)


def test_what_services_call_is_headless_so_that_clients_spread_their_calls() -> None:
    targets = {
        value for role in ROLES for name, value in _settings_text(role).items() if name.endswith("_target")
    }
    assert targets
    for target in targets:
        name, _, port = target.partition(":")
        service = named(rendered(EXAMPLE), "Service", name)
        assert service["spec"]["clusterIP"] == "None"
        assert int(port) in {one["port"] for one in service["spec"]["ports"]}


def test_no_secret_is_contained_and_all_that_is_referred_to_is_told() -> None:
    objects = rendered(EXAMPLE)
    assert not list(kinds(objects, "Secret"))
    generated = {one["metadata"]["name"] for one in kinds(objects, "ConfigMap")}
    referred: dict[tuple[str, str], set[str]] = {}
    for workload in workloads(objects).values():
        for variable in container(workload).get("env", ()):
            reference = variable["valueFrom"]["secretKeyRef"]
            referred.setdefault(("Secret", reference["name"]), set()).add(reference["key"])
        for volume in pod(workload).get("volumes", ()):
            if "secret" in volume:
                referred.setdefault(("Secret", volume["secret"]["secretName"]), set())
            elif volume["configMap"]["name"] not in generated:
                referred.setdefault(("ConfigMap", volume["configMap"]["name"]), set())
        sources = {one["configMapRef"]["name"] for one in container(workload).get("envFrom", ())}
        assert sources <= generated
    told = expected_from_outside()
    assert referred.keys() == told.keys()
    assert all(keys <= told[name] for name, keys in referred.items())


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


def test_migrations_have_the_logins_of_every_schema_and_nobody_else_the_owners() -> None:
    found = workloads(rendered(EXAMPLE))
    held = {
        name: {variable["name"] for variable in container(workload).get("env", ())}
        for name, workload in found.items()
    }
    logins = {
        f"IDV_{schema.upper()}_DATABASE__{login}" for schema in Schema for login in ("DSN", "OWNER_DSN")
    }
    assert held["migrate"] == {"IDV_ADMIN_DSN", *logins}
    assert container(found["migrate"])["args"][0] == "migrate"
    owners = {name for name, names in held.items() if any("OWNER" in one for one in names)}
    assert owners == {"migrate", "storage"}


def _settings_text(role: str) -> dict[str, Any]:
    volumes = pod(workloads(rendered(EXAMPLE))[role])["volumes"]
    (name,) = [one["configMap"]["name"] for one in volumes if one["name"] == "settings"]
    text = named(rendered(EXAMPLE), "ConfigMap", name)["data"][f"{role}.yaml"]
    values: dict[str, Any] = yaml.safe_load(text)
    return values


def _mount(workload: Mapping[str, Any], role: str, root: Path) -> None:
    """Lays out a pod's files below `root`: settings as rendered, real keys under the names in the guide."""
    sources = {volume["name"]: volume for volume in pod(workload)["volumes"]}
    made = _keys(root / "made", role)
    told = expected_from_outside()
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
