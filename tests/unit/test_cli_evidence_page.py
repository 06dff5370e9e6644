"""The evidence of deliveries as a page: whatever a mail server said stays text, and nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
import html
import re

from services.cli import evidence_page
from tests.set_clock import START


def test_what_a_mail_server_said_is_text_and_the_style_is_the_one_that_is_allowed() -> None:
    page = "\n".join(
        (
            evidence_page.head(2, ("customer", "reply"), START),
            evidence_page.row(("customers/acme", "550 <script>alert(1)</script>")),
            evidence_page.TAIL,
        )
    )
    assert "<script" not in page
    assert "550 &lt;script&gt;" in page
    assert page.count("<tr>") == page.count("</tr>") == 2
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in html.unescape(page)
    assert not re.search(r"(?:src|href|url)\s*[=(]", page)
