"""Each table of the services stands in the sheet that says how long its rows are kept."""

from __future__ import annotations

import re

from services.notice.tables import METADATA as NOTICE
from services.retention.tables import METADATA as RETENTION
from services.storage.tables import METADATA as STORAGE
from tests.documents import ROOT, prose


def test_every_table_has_a_row_that_says_how_long_it_is_kept() -> None:
    told = set(re.findall(r"`((?:storage|retention|notice)\.\w+)`", prose(ROOT / "docs/own-records.md")))
    assert told == {*STORAGE.tables, *RETENTION.tables, *NOTICE.tables}


def test_every_row_names_its_test_or_says_why_nothing_ends_it() -> None:
    rows = [line for line in prose(ROOT / "docs/own-records.md").splitlines() if line.startswith("| `")]
    assert rows
    for row in rows:
        _, _, term, by, _ = row.split("|")
        ended = "::test_" in by
        assert ended or re.match(r" (for ever|no end yet|a fixed number of rows)\b", term), row
