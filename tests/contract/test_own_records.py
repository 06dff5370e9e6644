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
