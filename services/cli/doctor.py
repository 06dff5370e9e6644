"""`idv doctor`: checks a running stack from the outside, and says what is wrong and what to do."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from services.cli.checks import CHECKS, Finding, Health, examine
from services.cli.client import Suite
from services.cli.command import READY_FILE, Connect, Json, command, group
from services.cli.exit_codes import ExitCode
from services.cli.failure import end, unavailable
from services.cli.output import Output, rows_table
from services.local.ready import Ready

app = group("Check configuration, certificates, clocks, stores and services.")

_LOOKS = {Health.GOOD: ("✓", "green"), Health.WARNING: ("!", "yellow"), Health.BAD: ("✗", "bold red")}


@command(
    app,
    "doctor",
    [
        ("Everything (exit code 3 when anything is wrong)", "idv doctor"),
        ("Another stack, for a script", "idv doctor --connect /srv/idv/ready.json --json"),
        ("Only some checks", "idv doctor --only certificates --only log"),
    ],
)
async def doctor(
    only: Annotated[
        list[str] | None, typer.Option("--only", help=f"Only these of {', '.join(CHECKS)}. Default: all.")
    ] = None,
    connect: Connect = READY_FILE,
    as_json: Json = False,
) -> None:
    """Run every check; each says in a sentence what it found."""
    async with Suite(Ready.read(connect)) as suite:
        findings = await examine(suite, only or list(CHECKS))
    rows = [(_mark(one), one.check, one.subject, _told(one)) for one in findings]
    value = {"findings": [{**one._asdict(), "health": one.health.value} for one in findings]}
    Output(as_json).answer(value, rows_table(("", "Check", "Of", "Found"), rows))
    bad = [one for one in findings if one.health is Health.BAD]
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        fault = f"{bad[0].check} of {bad[0].subject}: {bad[0].found}{more}"
        end(ExitCode.UNAVAILABLE, unavailable(fault, bad[0].remedy))


def _mark(finding: Finding) -> Text:
    return Text(*_LOOKS[finding.health])


def _told(finding: Finding) -> Text:
    text = Text(finding.found)
    return text.append(f": {finding.remedy}", "dim") if finding.remedy else text
