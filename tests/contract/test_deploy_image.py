"""The image's recipe: what the pods expect, from the locks alone, with every file that a service reads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

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


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions, built as the recipe builds them and unpacked into one folder."""
    folder = tmp_path_factory.mktemp("wheels")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "dist")
    for project, packages in ((ROOT, ("services",)), (ROOT / "protos", ("idv", "buf"))):
        copy = folder / f"source-{project.name}"
        copy.mkdir()
        for package in packages:
            shutil.copytree(project / package, copy / package, ignore=ignored)
        for name in ("pyproject.toml", "README.md", "CHANGELOG.md"):
            if (project / name).exists():
                shutil.copy(project / name, copy)
        build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
        subprocess.run(build, cwd=copy, check=True, capture_output=True)
    for wheel in folder.glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


@pytest.mark.parametrize("package", ["services", "protos/idv", "protos/buf"])
def test_the_wheels_carry_every_file_that_a_service_reads(package: str, wheels: Path) -> None:
    source = ROOT / package
    files = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    wanted = {path for path in files if "__pycache__" not in path.parts}
    assert wanted
    assert {path for path in wanted if not (wheels / source.name / path).is_file()} == set()


@pytest.mark.parametrize("module", [*(f"services.{role}.main" for role in ROLES), "services.cli.table"])
def test_what_the_image_starts_is_imported_from_the_wheels_alone(module: str, wheels: Path) -> None:
    """Without the folders that a development environment adds: they would hide what a wheel lacks."""
    site = sysconfig.get_path("purelib")
    program = f"import sys; sys.path += [{str(wheels)!r}, {site!r}]; import {module} as m; print(m.__file__)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], check=False, cwd=wheels, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(wheels)
