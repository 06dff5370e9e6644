"""What the documents point at exists, what they show works, and what is made from code is as code says."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from services.local.authority import DevelopmentAuthority
from services.local.tokens import SigningKey
from services.retention import sealing, signing
from services.runtime.settings import ServiceSettings
from services.runtime.settings_loading import load_settings
from tests import documents
from tests.documents import PAGES, ROOT

SERVICES = ("ingest", "storage", "retention", "notice")
OPERATIONS = ROOT / "docs" / "operations.md"


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("name", ["contracts.md", "configuration.md"])
def test_a_page_made_from_code_is_what_the_code_says(name: str) -> None:
    pages: Mapping[str, object] = _generator().PAGES
    made = pages[name]
    assert callable(made)
    assert (ROOT / "docs" / name).read_text() == made(), "run 'make docs' and commit"


def test_every_setting_says_what_it_means() -> None:
    rows = [line for line in (ROOT / "docs" / "configuration.md").read_text().splitlines() if "`IDV_" in line]
    silent = [row for row in rows if row.startswith("| `") and row.rstrip().endswith("|  |")]
    assert len(rows) > 60
    assert not silent


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in documents.links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in documents.anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_table_has_a_head_and_rows_of_its_width(page: Path) -> None:
    for table in documents.tables(page):
        assert re.fullmatch(r"[|:-]+", table[1]), table[0]
        widths = {documents.width(row) for row in table}
        assert len(widths) == 1, table[0]


@pytest.mark.parametrize("page", [page for page in PAGES if documents.tests_named(page)], ids=_named)
def test_every_test_that_is_named_exists(page: Path) -> None:
    for named in documents.tests_named(page):
        path, _, name = named.partition("::")
        assert re.search(rf"^ *(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), named


def test_every_promise_names_its_tests() -> None:
    rows = re.findall(r"^\| (P\d+) \|(.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert [promise for promise, _ in rows] == [f"P{number}" for number in range(1, 11)]
    assert all("::test_" in row for _, row in rows)


def test_every_module_of_the_walks_has_the_functions_that_are_named_beside_it() -> None:
    """A link to a module, then a function in backticks: `[x.py](../services/x.py) `name``."""
    page = ROOT / "docs" / "architecture.md"
    pairs = re.findall(r"\]\((\.\./services/[\w/]+\.py)\)\s+`([A-Za-z_]\w*(?:\.\w+)?)`", page.read_text())
    assert len(pairs) > 20
    for path, name in pairs:
        source = (page.parent / path).read_text()
        for part in name.split("."):
            defined = rf"^ *(?:(?:async )?def|class) {part}\b|^{part}\b.*="
            assert re.search(defined, source, re.MULTILINE), f"{path} has no {name}"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `/etc/idv` is in the examples: certificates and keys under the names used there."""
    root = tmp_path_factory.mktemp("etc")
    for folder in ("tls", "keys"):
        (root / folder).mkdir()
    authority = DevelopmentAuthority(root / "tls")
    for service in SERVICES:
        files = authority.service(service)
        shutil.copy(files.certificate, root / "tls" / f"{service}.crt")
        shutil.copy(files.private_key, root / "tls" / f"{service}.key")
    shutil.copy(root / "tls" / "ca.pem", root / "tls" / "ca.crt")
    SigningKey.open(root / "keys", "sessions")
    signing.generate(root / "keys" / "log.pem")
    signing.generate(root / "keys" / "dkim.pem")
    sealing.generate(root / "keys" / "request.key")
    return root


@pytest.mark.parametrize("service", SERVICES)
def test_the_example_of_a_services_settings_can_be_used(service: str, installed: Path) -> None:
    examples = [text for text in documents.blocks(OPERATIONS, "yaml") if f"/etc/idv/{service}.yaml" in text]
    assert len(examples) == 1
    file = installed / f"{service}.yaml"
    file.write_text(examples[0].replace("/etc/idv", str(installed)))
    cls: type[ServiceSettings] = getattr(
        import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings"
    )
    settings = load_settings(cls, file)
    assert settings.environment == "production"
    assert yaml.safe_load(file.read_text())["deployment"] == settings.deployment


def test_every_line_that_a_service_logs_is_explained() -> None:
    events: set[str] = set()
    for source in (ROOT / "services").rglob("*.py"):
        for event in re.findall(r"log\.(?:info|warning|error)\(\s*\"([^\"]+)\"", source.read_text()):
            events.add(event.partition(":")[0])
    told = documents.prose(OPERATIONS)
    assert len(events) > 10
    assert not {event for event in events if event not in told}


def test_every_metric_is_explained() -> None:
    made: set[str] = set()
    for source in (ROOT / "services").rglob("*.py"):
        found = re.findall(r"create_(?:\w+)\(\s*\"([a-z.]+)\"", source.read_text())
        made.update(name for name in found if "." in name)
    told = documents.prose(OPERATIONS)
    assert made
    assert not {name for name in made if f"`{name}`" not in told}
