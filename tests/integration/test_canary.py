"""Nothing leaks: canaries in every field of end users' data are nowhere in the clear once all has stopped.

Not in a log, span, metric, error or file name, and in no file of PostgreSQL (its log included), of the
object store or of the key authority. The address from which the client called is looked for as well.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
from google.protobuf import text_format
from idv.errors import IdvError

from services.local.stack import LocalStack
from tests import example_requests
from tests.canaries import Canaries
from tests.integration import insides
from tests.integration.callers import Callers
from tests.integration.planting import CUSTOMER, Planting
from tests.integration.relay import Relay

CONTROL = f"control-{secrets.token_hex(6)}"
"""A Customer whose id may stand in the clear: the search must find it, or it looks in the wrong places."""


@dataclass(frozen=True)
class Evidence:
    """What a stack left behind that was driven with canaries and stopped."""

    directory: Path
    data: Canaries
    said: Canaries
    client: str
    refusals: list[IdvError]

    def search(self, patterns: list[bytes], *folders: str) -> dict[str, list[str]]:
        places = [self.directory / folder for folder in folders] or [self.directory]
        return insides.containing((path for place in places for path in insides.files(place)), patterns)


@pytest_asyncio.fixture(scope="module")
async def evidence(server_directory: Path) -> AsyncIterator[Evidence]:
    """A stack of its own, driven through the relay and stopped: nothing is buffered any more."""
    data, said = Canaries(), Canaries()
    async with (
        LocalStack(server_directory / "canary", customers=(CUSTOMER, CONTROL)) as stack,
        Relay() as relay,
    ):
        targets = [target for each in stack.addresses.values() for target in (each.tls, each.mtls) if target]
        detours = {target: await relay.to(target) for target in targets}
        async with Callers(stack, detours) as callers:
            planting = Planting(callers, data, said)
            await planting.everything_that_succeeds()
            await planting.every_refusal_of_data()
            opened = await planting.verification.open(CONTROL, planting.subject)
            control = await planting.verification.open(CUSTOMER, planting.subject)
            names = example_requests.Names(f"customers/{CUSTOMER}", control.name, control.token)
            await planting.every_text_of_every_request(names)
            assert opened.name.startswith(f"customers/{CONTROL}/")
    yield Evidence(stack.layout.root, data, said, relay.address, planting.refusals)


def test_the_search_looks_in_the_right_places(evidence: Evidence) -> None:
    """What may stand in the clear is found: in rows, in the write-ahead log, and in the mark itself."""
    found = evidence.search([CONTROL.encode()])[repr(CONTROL.encode())]
    assert any("/pg_wal/" in path for path in found)
    assert any("/base/" in path for path in found)
    assert list((evidence.directory / "objects").rglob("*.dat")), "the object store's volumes"
    for folder in ("logs", "telemetry", "authority"):
        assert any(path.stat().st_size for path in insides.files(evidence.directory / folder)), folder


def test_no_file_of_the_stack_holds_what_was_planted_in_end_users_data(evidence: Evidence) -> None:
    assert evidence.search(evidence.data.patterns()) == {}


def test_no_log_span_or_metric_holds_what_any_request_said(evidence: Evidence) -> None:
    patterns = [*evidence.said.patterns(), *evidence.data.patterns()]
    assert evidence.search(patterns, "logs", "telemetry") == {}


def test_no_file_holds_the_clients_address(evidence: Evidence) -> None:
    assert evidence.search([evidence.client.encode()]) == {}


def test_no_error_says_what_was_planted(evidence: Evidence) -> None:
    """Neither its message nor its details, metadata or cause."""
    assert len(evidence.refusals) > 150
    marks = (evidence.data.mark, evidence.said.mark, evidence.client)
    telling = [
        text
        for error in evidence.refusals
        for text in (text_format.MessageToString(error.to_status()), f"{error} {error.__cause__!r}")
        if any(mark in text for mark in marks)
    ]
    assert telling == []


def test_no_refusal_was_a_failure(evidence: Evidence) -> None:
    """Bad input is answered with its own reason, never with INTERNAL."""
    failures = [error for error in evidence.refusals if error.reason_name == "INTERNAL"]
    assert failures == []
