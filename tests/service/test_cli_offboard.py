"""`idv customer offboard` against a running stack: an archive first, then nothing but a receipt."""

from __future__ import annotations

from idv import archives, receipts

from services.local.ready import Ready
from tests.service.test_cli_commands import Running, stack

__all__ = ["stack"]


def test_a_customer_is_exported_and_off_boarded_for_good(stack: Running) -> None:
    archive, receipt = stack.folder / "left.zip", stack.folder / "left.json"
    options = ("--export", str(archive), "--receipt", str(receipt))
    assert stack.refusal("customer", "offboard", "leaver", "--yes")[0] == 2
    assert stack.refusal("customer", "offboard", "leaver", *options, "--yes")[1] == "NOT_FOUND"
    stack.answer("customer", "create", "leaver", "--name", "Leaver", "--email", "a@leaver.example")
    assert stack.refusal("customer", "offboard", "leaver", *options)[0] == 2, "the id is to be typed"
    ended = stack.answer("customer", "offboard", "leaver", *options, "--yes")
    assert archives.verify(archive).customer == "customers/leaver"
    proven = receipts.verify(receipt.read_text(), Ready.read(stack.ready).log_public_key)
    assert (proven.kind, proven.entry["customer"]) == ("customer_offboarding", "customers/leaver")
    again = stack.answer("customer", "offboard", "leaver", "--no-export", "--receipt", str(receipt))
    assert again["offboarding"] == ended["offboarding"]
    left = stack.answer("customer", "show", "leaver")
    assert left["state"] == "offboarded"
    assert not left.get("email")
    assert stack.refusal("customer", "activate", "leaver")[1] == "CUSTOMER_OFFBOARDED"
