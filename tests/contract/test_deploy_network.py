"""The network policies let pass the arrows of the architecture, and nothing else."""

from __future__ import annotations

from importlib import import_module

import pytest
from idv.types.v1 import access_pb2

from services.runtime.settings import ServiceSettings
from tests import descriptors
from tests.manifests import ROLES, kinds, labels, rendered, workloads
from tests.reachability import Peer, passes

OBJECTS = rendered("overlays/example")
POLICIES = tuple(kinds(OBJECTS, "NetworkPolicy"))
PORTS = (25, 53, 80, 443, 587, 5432, 8080, 8090, 8091, 8443, 9443)

PUBLIC = {(role, port) for role in ("ingest", "retention", "notice") for port in (8443, 9443)}
"""Customers, SDKs and anyone who asks for the notice or the log; TLS, token and certificate decide."""
NAMES = ("names", 53)
AMONG_SERVICES = {
    "ingest": {("storage", 9443), ("notice", 9443)},
    "storage": set(),
    "retention": {("storage", 9443), ("notice", 9443)},
    "notice": set(),
    "migrate": set(),
}
TO_STORES = {
    "ingest": set(),
    "storage": {("database", 5432), ("objects", 443)},
    "retention": {("database", 5432), ("witness", 443)},
    "notice": {("database", 5432), ("mail", 587), ("webhook", 443)},
    "migrate": {("database", 5432)},
}
FROM_OUTSIDE = {
    "verification": PUBLIC | {("storage", 9443)},
    "support": PUBLIC | {("storage", 9443)},
    "officer": PUBLIC,
    "edge": PUBLIC | {("notice", 8090), ("retention", 8091)},
    "stranger": PUBLIC,
    "impostor": PUBLIC,
}


def _caller(name: str) -> Peer:
    return Peer(name, "tools", {"idv-callers": "allowed"}, {"idv-caller": name})


PEERS = {
    **{
        name: Peer(name, "idv", {"kubernetes.io/metadata.name": "idv"}, labels(workload))
        for name, workload in workloads(OBJECTS).items()
    },
    **{name: _caller(name) for name in ("verification", "support", "officer")},
    "edge": Peer("edge", "edge", {"idv-edge": "allowed"}),
    # The right label in a namespace that nobody allowed.
    "impostor": Peer("impostor", "elsewhere", {}, {"idv-caller": "verification"}),
    "stranger": Peer("stranger", address="100.64.0.7"),
    "names": Peer(
        "names", "kube-system", {"kubernetes.io/metadata.name": "kube-system"}, {"k8s-app": "kube-dns"}
    ),
    "database": Peer("database", address="192.0.2.10"),
    "objects": Peer("objects", address="198.51.100.20"),
    "mail": Peer("mail", address="203.0.113.25"),
    "webhook": Peer("webhook", address="93.184.216.34"),
    "metadata": Peer("metadata", address="169.254.169.254"),
    "neighbour": Peer("neighbour", address="10.0.0.5"),
    "witness": Peer("witness", address="203.0.113.80"),
}


def reached(source: str) -> set[tuple[str, int]]:
    """All that `source` can connect to: within the suite, and from within it also outside."""
    targets = PEERS if source in AMONG_SERVICES else [*AMONG_SERVICES]
    return {
        (target, port)
        for target in targets
        for port in PORTS
        if target != source and passes(POLICIES, PEERS[source], PEERS[target], port)
    }


@pytest.mark.parametrize("source", AMONG_SERVICES)
def test_a_service_reaches_what_its_arrows_point_at_and_nothing_else(source: str) -> None:
    assert reached(source) == AMONG_SERVICES[source] | TO_STORES[source] | {NAMES}


@pytest.mark.parametrize("source", FROM_OUTSIDE)
def test_from_outside_one_reaches_the_public_ports_and_what_one_is_known_for(source: str) -> None:
    assert reached(source) == FROM_OUTSIDE[source]


@pytest.mark.parametrize("role", ROLES)
def test_the_arrows_among_services_are_the_targets_in_their_settings(role: str) -> None:
    cls: type[ServiceSettings] = getattr(
        import_module(f"services.{role}.settings"), f"{role.capitalize()}Settings"
    )
    targets = {name.removesuffix("_target") for name in cls.model_fields if name.endswith("_target")}
    assert {target for target, _ in AMONG_SERVICES[role]} == targets


def test_storage_is_reached_by_the_callers_of_its_contract() -> None:
    (contract,) = [one for one in descriptors.services() if one.full_name == "idv.storage.v1.StorageService"]
    rules = [method.GetOptions().Extensions[access_pb2.access] for method in contract.methods]
    assert not any(rule.customer or rule.anyone or rule.session_token for rule in rules)
    callers = {name for rule in rules for name in rule.services}
    reaching = {name for name in PEERS if passes(POLICIES, PEERS[name], PEERS["storage"], 9443)}
    assert reaching == callers


def test_no_policy_opens_the_health_port() -> None:
    """The kubelet's probes come from the pod's own host, which policies do not hold up."""
    for source in PEERS:
        for role in ROLES:
            assert not passes(POLICIES, PEERS[source], PEERS[role], 8080)
