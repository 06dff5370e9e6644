"""Which connections NetworkPolicies let pass, by the rules of the networking.k8s.io/v1 API.

A pod that some policy selects for a direction may do in it what one of these policies allows, and nothing
else; any other pod may do everything.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Selector = Mapping[str, Any]


@dataclass(frozen=True)
class Peer:
    """An end of a connection: a pod with the labels of its namespace and itself, or a host outside."""

    name: str
    namespace: str = ""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = "10.0.0.1"


def passes(policies: Sequence[Mapping[str, Any]], source: Peer, target: Peer, port: int) -> bool:
    """Whether TCP from `source` to `target` at `port` passes both ends."""
    return _allowed(policies, "egress", source, target, port) and _allowed(
        policies, "ingress", target, source, port
    )


def _allowed(
    policies: Sequence[Mapping[str, Any]], direction: str, own: Peer, other: Peer, port: int
) -> bool:
    chosen = [
        one
        for one in policies
        if one["metadata"]["namespace"] == own.namespace
        and direction.capitalize() in one["spec"]["policyTypes"]
        and selects(one["spec"]["podSelector"], own.labels)
    ]
    rules = [
        (rule, one["metadata"]["namespace"]) for one in chosen for rule in one["spec"].get(direction, ())
    ]
    side = "to" if direction == "egress" else "from"
    return not chosen or any(
        _port(rule.get("ports"), port) and _peer(rule.get(side), home, other) for rule, home in rules
    )


def _port(ports: Sequence[Mapping[str, Any]] | None, port: int) -> bool:
    return ports is None or any(one.get("protocol", "TCP") == "TCP" and one["port"] == port for one in ports)


def _peer(peers: Sequence[Mapping[str, Any]] | None, home: str, other: Peer) -> bool:
    return peers is None or any(_matches(one, home, other) for one in peers)


def _matches(peer: Mapping[str, Any], home: str, other: Peer) -> bool:
    if "ipBlock" in peer:
        block, address = peer["ipBlock"], ipaddress.ip_address(other.address)
        return address in ipaddress.ip_network(block["cidr"]) and not any(
            address in ipaddress.ip_network(one) for one in block.get("except", ())
        )
    if not other.namespace:
        return False
    if "namespaceSelector" in peer:
        inside = selects(peer["namespaceSelector"], other.namespace_labels)
    else:
        inside = other.namespace == home
    return inside and selects(peer.get("podSelector", {}), other.labels)


def selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether a label selector chooses these labels; an empty one chooses all."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In", "another operator is not understood here"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
