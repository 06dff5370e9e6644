"""Tables of Customers: every fault by its line, nothing taken with one, and what is written reads again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from idv.notice.v1 import customers_pb2 as pb

from services.notice.accounts import table
from services.notice.accounts.table import InvalidTableError, TableFault
from tests.mail_parts import ACME

OPTIONAL = {"device.network.dns_ip", "device.hardware.idfv"}
GOOD = "id,display_name,email\nacme,Acme,privacy@acme.example\n"


def faults(content: str | bytes) -> list[TableFault]:
    with pytest.raises(InvalidTableError) as caught:
        table.read(content.encode() if isinstance(content, str) else content, OPTIONAL)
    return list(caught.value.faults)


def places(content: str | bytes) -> list[tuple[int, str]]:
    return [(fault.line, fault.column) for fault in faults(content)]


def test_what_is_written_reads_again() -> None:
    awkward = replace(ACME, display_name='Acme, "the" Bank \u5b89', optional_items=tuple(sorted(OPTIONAL)))
    other = replace(ACME, tenant="globex", webhook_uri="https://globex.example/done", region="")
    text = table.write([awkward, other])
    assert [row.account for row in table.read(text.encode(), OPTIONAL)] == [awkward, other]
    suspended = table.write([replace(ACME, state=pb.CUSTOMER_STATE_SUSPENDED)])
    assert places(suspended) == [(2, "state")]


def test_a_byte_order_mark_blank_lines_and_another_order_of_columns_are_fine() -> None:
    content = "\ufeffemail,id,display_name\r\n\r\nprivacy@acme.example,acme,Acme\r\n\r\n"
    (row,) = table.read(content.encode(), OPTIONAL)
    assert (row.line, row.account.tenant, row.account.time_zone) == (3, "acme", "UTC")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("", [(1, "")]),
        ("id,display_name,email\n", [(1, "")]),
        ("id,display_name\nacme,Acme\n", [(1, "email")]),
        ("id,id,display_name,email\n", [(1, "id")]),
        ("id,display_name,email,favourite\n", [(1, "")]),
        (GOOD + "globex,Globex\n", [(3, "")]),
        (GOOD + "globex,Globex,g@globex.example,more\n", [(3, "")]),
        (GOOD + GOOD.splitlines()[1] + "\n", [(3, "id")]),
        (GOOD + 'globex,"Globex,g@globex.example\n', [(3, "")]),
        (GOOD.encode() + b"globex,Gl\xf6bex,g@globex.example\n", [(3, "")]),
        (GOOD + "Globex!,=1+1,nobody\n", [(3, "display_name"), (3, "email"), (3, "id")]),
        (
            GOOD + 'globex,"two\nlines",g@globex.example\nhooli,Hooli,nobody\n',
            [(3, "display_name"), (5, "email")],
        ),
    ],
)
def test_each_fault_is_told_by_the_line_on_which_its_row_begins(
    content: str | bytes, where: list[tuple[int, str]]
) -> None:
    assert sorted(places(content)) == where


def test_a_table_that_is_too_large_is_refused_before_anything_is_made_of_it() -> None:
    assert places(GOOD + "x" * table.MAX_CHARACTERS) == [(1, "")]
    rows = "".join(f"customer-{number},Name,a@acme.example\n" for number in range(table.MAX_ROWS + 1))
    assert places("id,display_name,email\n" + rows) == [(table.MAX_ROWS + 2, "")]
