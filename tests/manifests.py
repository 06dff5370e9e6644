"""The Kubernetes objects under deploy/, as the real kustomize renders them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.documents import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
KUBECTL = Path(sys.executable).parent / "kubectl"
EXAMPLE = "overlays/example"
GUIDE = ROOT / "docs" / "deploy.md"
ROLES = ("ingest", "storage", "retention", "notice")

Object = Mapping[str, Any]


@cache
def rendered(folder: str) -> tuple[Object, ...]:
    """The objects of a folder below deploy/kubernetes. Each caller sees the same ones: change none."""
    made = subprocess.run(
        [KUBECTL, "kustomize", KUBERNETES / folder], check=True, capture_output=True, text=True
    )
    return tuple(yaml.safe_load_all(made.stdout))


def kinds(objects: tuple[Object, ...], *wanted: str) -> Iterator[Object]:
    """Those of the kinds."""
    return (one for one in objects if one["kind"] in wanted)


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    """The one of this kind and name."""
    (found,) = (one for one in kinds(objects, kind) if one["metadata"]["name"] == name)
    return found


def workloads(objects: tuple[Object, ...]) -> dict[str, Object]:
    """What runs pods, by name."""
    return {one["metadata"]["name"]: one for one in kinds(objects, "Deployment", "StatefulSet", "Job")}


def pod(workload: Object) -> Object:
    """The specification of a workload's pods."""
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def labels(workload: Object) -> dict[str, str]:
    """The labels of a workload's pods."""
    return dict(workload["spec"]["template"]["metadata"]["labels"])


def container(workload: Object) -> Object:
    """The only container of a workload's pods."""
    spec = pod(workload)
    assert "initContainers" not in spec
    (only,) = spec["containers"]
    found: Object = only
    return found


def settings_of(role: str) -> dict[str, Any]:
    """The settings file of a role, as its pods mount it."""
    volumes = pod(workloads(rendered(EXAMPLE))[role])["volumes"]
    (name,) = [one["configMap"]["name"] for one in volumes if one["name"] == "settings"]
    text = named(rendered(EXAMPLE), "ConfigMap", name)["data"][f"{role}.yaml"]
    values: dict[str, Any] = yaml.safe_load(text)
    return values


def made_outside() -> dict[tuple[str, str], set[str]]:
    """What the guide tells to make before: the keys of each, by kind and name."""
    rows = re.findall(r"^\| (Secret|ConfigMap) \| `([\w-]+)` \| ([^|]+) \|", GUIDE.read_text(), re.MULTILINE)
    return {(kind, name): set(re.findall(r"`([\w.]+)`", keys)) for kind, name, keys in rows}
