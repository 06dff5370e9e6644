"""The table of commands.

A command's module is imported when it is called, so that `idv --help` stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from services.cli.command import epilog
from services.cli.exit_codes import EXIT_CODES

_RUN, _DATA, _PROOF, _CARE = "Run it", "Data in and out", "Notice and proof", "Look after it"


class Entry(NamedTuple):
    """One command: its name, its module in this package (which holds `app`), its summary, its panel in the
    help.
    """

    name: str
    module: str
    summary: str
    panel: str


COMMANDS = (
    Entry(
        "demo", "demo.command", "Show every promise kept, on fresh real services, in about a minute.", _RUN
    ),
    Entry("up", "up", "Start the whole suite on this machine and watch it.", _RUN),
    Entry("serve", "serve", "Run one of the four services.", _RUN),
    Entry("migrate", "migrate", "Create or upgrade the services' database schemas.", _RUN),
    Entry("token", "token", "Make development tokens for a stack started with `idv up`.", _DATA),
    Entry("session", "session", "Open a session for one end user, or describe one.", _DATA),
    Entry("submit", "submit", "Send typed items (device, permissions, log) to a session.", _DATA),
    Entry("upload", "upload", "Send a face image or an identity document to a session.", _DATA),
    Entry("record", "record", "List, describe and read records, each reading with a purpose.", _DATA),
    Entry("delete", "delete", "Delete for good, from one record to everything, and keep the receipt.", _DATA),
    Entry("export", "export", "Export everything held on an end user, or for a Customer.", _DATA),
    Entry("correct", "correct", "Correct a wrong record; it is erased, with a receipt.", _DATA),
    Entry("restrict", "restrict", "Limit an end user's data to rights and erasure, or lift it.", _DATA),
    Entry("access", "access", "See who saw a Customer's records, and why; follow it as it happens.", _DATA),
    Entry("opt-out", "opt_out", "Collect nothing more of an end user, or allow it again.", _DATA),
    Entry("relay", "relay", "Enter and follow end users' own requests: refused, and relayed.", _DATA),
    Entry(
        "notice", "notice_review", "Check, draft, review, announce and show versions of the notice.", _PROOF
    ),
    Entry("receipt", "receipt", "Verify a deletion's receipt offline, or print it as a certificate.", _PROOF),
    Entry("statement", "statement", "Show and verify the daily statement of what is held.", _PROOF),
    Entry("log", "log", "Read the transparency log and verify its proofs.", _PROOF),
    Entry("customer", "offboard", "Register, change, suspend, import, export, off-board Customers.", _CARE),
    Entry("doctor", "doctor", "Check configuration, certificates, clocks, stores and services.", _CARE),
    Entry("clock", "clock", "Look at the clocks that destruction depends on, and confirm a jump.", _CARE),
    Entry("bench", "bench", "Measure the suite beside the bare limits of this machine.", _CARE),
)

_EXAMPLES = (
    ("See the whole story once", "idv demo"),
    ("Start a stack here, then use it from another terminal", "idv up"),
    (
        "Open a session as the first Customer",
        "idv session create --subject user-17 --item face_image --consent",
    ),
)


class Deferred(TyperCommand):
    """Stands in the table for a command whose module is not imported yet."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.name, help=entry.summary, rich_help_panel=entry.panel)
        self._module = entry.module

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Imports the module and hands over to the command it holds."""
        app: typer.Typer = import_module(f"services.cli.{self._module}").app
        return typer.main.get_command(app).make_context(info_name, args, parent=parent, **extra)


def root_command() -> TyperGroup:
    """The `idv` command with all of its commands."""
    codes = "  ".join(f"[cyan]{code.value}[/] {meaning}" for code, meaning in EXIT_CODES.items())
    return TyperGroup(
        name="idv",
        help="The ID Verification privacy suite: its services, its data, its notice and its proofs.",
        epilog=f"{epilog(_EXAMPLES)}\n\n[bold]Exit codes[/]\n{codes}",
        commands={entry.name: Deferred(entry) for entry in COMMANDS},
        rich_markup_mode="rich",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
