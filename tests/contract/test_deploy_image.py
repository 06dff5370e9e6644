"""The image's recipe: what the pods expect, from the locks alone, with every file that a service reads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.documents import ROOT
from tests.manifests import ROLES, container, pod, rendered, workloads

CONTAINERFILE = ROOT / "deploy" / "Containerfile"


def test_the_image_is_built_as_the_pods_expect_it() -> None:
    recipe = CONTAINERFILE.read_text()
    linter = Path(sys.executable).parent / "hadolint"
    subprocess.run([linter, "--failure-threshold", "style", CONTAINERFILE], check=True)
    user = re.findall(r"^USER (\d+):(\d+)$", recipe, re.MULTILINE)
    security = pod(workloads(rendered("base"))["ingest"])["securityContext"]
    assert user == [(str(security["runAsUser"]), str(security["runAsGroup"]))]
    ports = {
        port["containerPort"]
        for role in ROLES
        for port in container(workloads(rendered("base"))[role])["ports"]
    }
    exposed = re.findall(r"^EXPOSE (.+)$", recipe, re.MULTILINE)[0].split()
    assert {int(port) for port in exposed} == ports
    copied = [
        name for line in re.findall(r"^COPY (?!--)(.+) \S+$", recipe, re.MULTILINE) for name in line.split()
    ]
    assert all((ROOT / name).exists() for name in copied)
    ignore = CONTAINERFILE.with_name("Containerfile.dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == set(copied)
    installs = re.findall(r"pip install (.+?)(?: \\|$)", recipe, re.MULTILINE)
    assert len(installs) == 3
    assert all("--require-hashes" in one or "--no-index" in one for one in installs)


def test_the_wheels_of_the_image_carry_every_file_that_a_service_reads(tmp_path: Path) -> None:
    for project, package in ((ROOT, "services"), (ROOT / "protos", "idv")):
        copy = tmp_path / package
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(project / package, copy / package, ignore=ignored)
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
            if (project / name).exists():
                shutil.copy(project / name, copy)
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
            cwd=copy,
            check=True,
            capture_output=True,
        )
        (wheel,) = (copy / "dist").glob("*.whl")
        with zipfile.ZipFile(wheel) as content:
            carried = set(content.namelist())
        sources = {str(path.relative_to(copy)) for path in (copy / package).rglob("*") if path.is_file()}
        assert sources <= carried
