"""The repository builds anywhere: hashed locks, current generated code, no address or path of one machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.descriptors import PROTOS, ROOT

LOCKS = sorted(ROOT.glob("requirements*.txt"))
LARGEST_SOURCE = 2 * 1024 * 1024

# What would tie the repository to one place. Each is written so that it does not match itself.
TIES = {
    "a package index": re.compile(
        r"https?://[^\s\"'<>]*/simple\b|\b(?:test\.)?pypi\.org\b|pythonhosted\.org", re.ASCII
    ),
    "an option that names an index": re.compile(
        r"--(?:extra-)?index-url[= ]|--find-links[= ]|^-[if] ", re.MULTILINE
    ),
    "somebody's home": re.compile(
        r"(?<![\w.$}~-])/(?:home|Users)/[a-z]\w*/|(?<![\w.$}~-])/ro{2}t/", re.ASCII
    ),
}


def sources() -> list[Path]:
    """Every file that is, or by the ignore rules could be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    paths = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_there_are_locks_for_running_for_the_local_stack_and_for_development() -> None:
    assert {"requirements.txt", "requirements-local.txt", "requirements-dev.txt"} <= {
        lock.name for lock in LOCKS
    }


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_every_package_by_version_and_hash_and_holds_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    requirements = [entry for entry in re.split(r"\n(?=\S)", text.strip()) if not entry.startswith("#")]
    assert requirements
    for entry in requirements:
        assert re.match(r"[A-Za-z0-9._-]+(?:\[[^\]]+\])?==[^\s;]+", entry), (
            f"not pinned: {entry.splitlines()[0]}"
        )
        assert "--hash=sha256:" in entry, f"without a hash: {entry.splitlines()[0]}"
    assert "://" not in text
    assert " @ " not in text


def test_the_generated_code_is_what_the_generator_makes(tmp_path: Path) -> None:
    copy = tmp_path / "protos"
    shutil.copytree(PROTOS, copy, ignore=shutil.ignore_patterns("*_pb2*", "__pycache__", "*.egg-info"))
    plugins = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([sys.executable, copy / "generate.py"], check=True, capture_output=True, env=plugins)
    made = {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*_pb2*") if path.is_file()}
    kept = {
        path.relative_to(PROTOS): path.read_bytes()
        for path in PROTOS.rglob("*_pb2*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert made.keys() == kept.keys()
    assert [str(name) for name in made if made[name] != kept[name]] == [], "run `make protos`"


@pytest.mark.parametrize("tie", TIES)
def test_no_file_ties_the_repository_to_one_place(tie: str) -> None:
    tied = [str(path.relative_to(ROOT)) for path in sources() if TIES[tie].search(text_of(path))]
    assert not tied


def test_no_file_names_the_folder_it_was_written_in() -> None:
    if len(ROOT.parts) < 3:
        pytest.skip("a folder directly below / has too common a name to look for")
    named = [str(path.relative_to(ROOT)) for path in sources() if f"{ROOT}" in text_of(path)]
    assert not named


def text_of(path: Path) -> str:
    """A file's text; nothing for one that is too large to be a source."""
    if path.stat().st_size > LARGEST_SOURCE:
        return ""
    return path.read_text(encoding="utf-8", errors="replace")
