"""The manifests, rendered by the real kustomize: valid, restricted, and whole."""

from __future__ import annotations

from pathlib import Path

import kubernetes_validate
import pytest

from services.runtime.settings import ServiceSettings
from tests.manifests import (
    EXAMPLE,
    ROLES,
    container,
    kinds,
    labels,
    made_outside,
    named,
    pod,
    rendered,
    settings_of,
    workloads,
)
from tests.reachability import selects

OLDEST = "1.30"
"""Of Kubernetes, the oldest release that the guide promises."""


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("folder", ["base", EXAMPLE])
def test_every_object_is_valid_by_the_strict_schema(folder: str, version: str) -> None:
    objects = rendered(folder)
    assert len(objects) > 25
    for one in objects:
        kubernetes_validate.validate(dict(one), version, strict=True)
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
    settings = settings_of(role)
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
    assert Path(settings_of("storage")["keys"]["file"]).is_relative_to(mounted)
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
        value for role in ROLES for name, value in settings_of(role).items() if name.endswith("_target")
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
    told = made_outside()
    assert referred.keys() == told.keys()
    assert all(keys <= told[name] for name, keys in referred.items())
