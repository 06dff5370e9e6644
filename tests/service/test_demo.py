"""The demonstration, run once: it shows each promise of the main path, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

PROMISES = ("P1", "P2", "P3", "P4", "P7", "P8", "P9", "P10")


class Run(NamedTuple):
    """How the demonstration ended, what it printed, and its report."""

    code: int
    told: str
    report: list[dict[str, Any]]
    folder: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run, in a folder of its own."""
    folder = tmp_path_factory.mktemp("demo")
    report = folder / "report.json"
    words = [sys.executable, "-m", "services", "demo", "--dir", str(folder / "run"), "--report", str(report)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert report.exists(), ended.stdout[-4000:] + ended.stderr[-4000:]
    return Run(ended.returncode, ended.stdout + ended.stderr, json.loads(report.read_text()), folder / "run")


def test_every_step_is_as_promised(run: Run) -> None:
    assert [step for step in run.report if not step["ok"]] == []
    assert run.code == 0


@pytest.mark.parametrize("promise", PROMISES)
def test_promise_is_shown_with_evidence(run: Run, promise: str) -> None:
    steps = [step for step in run.report if step["promise"] == promise]
    assert steps
    for step in steps:
        assert step.keys() == {"promise", "step", "ok", "evidence"}
        assert step["ok"], step
        assert step["evidence"].strip()


def test_narration_tells_every_step_and_no_personal_data(run: Run) -> None:
    told = " ".join(run.told.split())
    for step in run.report:
        assert step["step"] in told
    assert "CANARY" not in run.told
    assert "CANARY" not in json.dumps(run.report)


def test_nothing_goes_on_running(run: Run) -> None:
    folder = str(run.folder).encode()
    left = [
        path.read_bytes().replace(b"\0", b" ")
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if _names(path, folder)
    ]
    assert left == []


def test_receipt_of_the_run_verifies_afterwards(run: Run) -> None:
    words = ["receipt", "verify", str(run.folder / "receipt.json"), "--json"]
    key = ["--key-file", str(run.folder / "stack" / "keys" / "log.pub")]
    ended = subprocess.run([sys.executable, "-m", "services", *words, *key], capture_output=True, check=False)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["entry"]["kind"] == "deletion"


def test_story_is_not_told_over_another_ones_folder(run: Run) -> None:
    words = [sys.executable, "-m", "services", "demo", "--dir", str(run.folder)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "empty" in ended.stderr


def test_story_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "services", "demo"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout or ():
            if "services are running" in line:
                process.send_signal(signal.SIGTERM)
                break
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def _names(cmdline: Path, folder: bytes) -> bool:
    try:
        return folder in cmdline.read_bytes()
    except OSError:  # ended meanwhile
        return False
