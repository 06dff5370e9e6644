"""The suite as a history drives it: each call is repeated, under its one request id, until it is answered."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from idv import merkle, receipts
from idv.errors import IdvError
from idv.ingest.v1 import ingest_pb2
from idv.ingest.v1.ingest_pb2_grpc import IngestServiceStub
from idv.notice.v1 import customers_pb2
from idv.notice.v1.customers_pb2_grpc import CustomerServiceStub
from idv.retention.v1 import deletions_pb2, log_pb2, rights_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub
from idv.types.v1 import processing_pb2, receipt_pb2

from services.local.stack import LocalStack
from tests.integration.callers import NOBODY, Callers, service
from tests.integration.verification import EVERYTHING, Opened, Verification
from tests.waiting import until

PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "OVERLOADED", "TERMS_UNKNOWN"})
"""What is said while a process is away; anything else is an answer."""
PATIENCE = 30.0
"""Seconds of real time after which a process that was killed must have been back."""
ENDED = frozenset({deletions_pb2.DELETION_STATE_DONE, deletions_pb2.DELETION_STATE_PARTIAL})

_Answer = TypeVar("_Answer")


async def answered(attempt: Callable[[], Awaitable[_Answer]], what: str = "a call") -> _Answer:
    """The answer, or the refusal as IdvError, once there is one."""
    said: list[IdvError] = []

    async def once() -> tuple[_Answer] | None:
        try:
            return (await attempt(),)
        except IdvError as error:
            if error.reason_name not in PASSING:
                raise
            said.append(error)
            return None

    try:
        return (await until(f"{what} is answered", once, seconds=PATIENCE))[0]
    except TimeoutError as error:
        raise AssertionError(f"{what} is not answered: {said[-1]!r}, {said[-1].metadata}") from error


@dataclass
class Proofs:
    """Every receipt ever given, and the newest checkpoint seen: each is shown to extend the one before."""

    receipts: list[str] = field(default_factory=list)
    size: int = 0
    root: bytes = merkle.EMPTY_ROOT


class Suite:
    """The calls of a history."""

    def __init__(self, stack: LocalStack, callers: Callers) -> None:
        self.stack, self.callers = stack, callers
        self.verification = Verification(callers)
        self.proofs = Proofs()
        self.notice_version = 1

    def rights(self, customer: str) -> Any:
        """The rights service as the Customer."""
        return self.callers.stub(RightsServiceStub, "retention", self.callers.customer(customer))

    def deletions(self, customer: str) -> Any:
        """The deletion service as the Customer."""
        return self.callers.stub(DeletionServiceStub, "retention", self.callers.customer(customer))

    @property
    def _officer(self) -> Any:
        return self.callers.stub(CustomerServiceStub, "notice", service("officer"))

    async def register(self, customer: str) -> None:
        """Makes a Customer known to notice, with an address."""
        known = customers_pb2.Customer(
            name=f"customers/{customer}", display_name=customer, email=f"privacy@{customer}.example"
        )
        request = customers_pb2.CreateCustomerRequest(customer=known, request_id=str(uuid.uuid4()))
        await answered(lambda: self._officer.CreateCustomer(request))

    async def suspend(self, customer: str, *, suspended: bool) -> None:
        """Suspends a Customer, or ends that; returns once it counts."""
        state = customers_pb2.CUSTOMER_STATE_SUSPENDED if suspended else customers_pb2.CUSTOMER_STATE_ACTIVE
        request = customers_pb2.SetCustomerStateRequest(
            name=f"customers/{customer}", state=state, request_id=str(uuid.uuid4())
        )
        await answered(lambda: self._officer.SetCustomerState(request))

        async def counts() -> bool:
            try:
                await self.open(customer, "nobody else")
            except IdvError as error:
                return (error.reason_name == "CUSTOMER_SUSPENDED") == suspended
            return not suspended

        await until("a suspension, or its end, counts", counts)

    async def open(self, customer: str, subject: str) -> ingest_pb2.CreateSessionResponse:
        """Opens a session, and asks again: both answers name one session."""
        attestation = self.verification.attestation(EVERYTHING)
        attestation.notice_version = self.notice_version
        request = ingest_pb2.CreateSessionRequest(
            parent=f"customers/{customer}",
            request_id=str(uuid.uuid4()),
            subject=subject,
            attestation=attestation,
            items=EVERYTHING,
        )
        ingest = self.callers.stub(IngestServiceStub, "ingest", self.callers.customer(customer))
        first = await answered(lambda: ingest.CreateSession(request), "a session")
        again = await answered(lambda: ingest.CreateSession(request), "the same session")
        assert again.session.name == first.session.name
        answer: ingest_pb2.CreateSessionResponse = first
        return answer

    async def read(self, name: str, purpose: processing_pb2.Purpose.ValueType) -> bytes:
        """Reads for a purpose, by a service that may."""
        reader = "verification" if purpose == processing_pb2.PURPOSE_VERIFICATION else "support"
        said = {"person": "p-1", "ticket": "T-1"} if purpose == processing_pb2.PURPOSE_TROUBLESHOOTING else {}
        return await answered(
            lambda: self.verification.read(name, reader=reader, purpose=purpose, **said), "a read"
        )

    async def delete(
        self, customer: str, target: deletions_pb2.DeletionTarget, request_id: str, *, dry_run: bool = False
    ) -> deletions_pb2.Deletion:
        """Deletes, waits for the end, and proves the receipt and that the log only grew."""
        request = deletions_pb2.CreateDeletionRequest(
            parent=f"customers/{customer}", request_id=request_id, target=target, dry_run=dry_run
        )
        stub = self.deletions(customer)
        made: deletions_pb2.Deletion = (
            await answered(lambda: stub.CreateDeletion(request), "a deletion")
        ).deletion
        if dry_run:
            return made
        if made.state in ENDED:
            await self.prove(made.receipt.json)
            return made
        return await self.concluded(customer, made.name)

    async def concluded(self, customer: str, name: str) -> deletions_pb2.Deletion:
        """A deletion at its end; its receipt is proven."""
        stub, named = self.deletions(customer), deletions_pb2.GetDeletionRequest(name=name)

        async def ended() -> deletions_pb2.Deletion | None:
            with suppress(IdvError):
                found: deletions_pb2.Deletion = (await stub.GetDeletion(named)).deletion
                return found if found.state in ENDED else None
            return None

        done = await until("a deletion ends", ended, seconds=60)
        await self.prove(done.receipt.json)
        return done

    async def export(self, customer: str, subject: str) -> bytes:
        """An archive: taken up where it broke off, under its one request id, until it is whole."""
        request = rights_pb2.ExportSubjectRequest(
            parent=f"customers/{customer}", request_id=str(uuid.uuid4()), subject=subject
        )
        body = bytearray()

        async def rest() -> bytes:
            request.offset = len(body)
            async for part in self.rights(customer).ExportSubject(request, timeout=60):
                assert part.offset == len(body)
                body.extend(part.chunk)
            return bytes(body)

        return await answered(rest, "an export")

    async def statements(self, newest: int) -> list[str]:
        """The documents of the newest statements."""
        request = log_pb2.ListStatementsRequest(page_size=newest)
        answer = await answered(lambda: self._log.ListStatements(request), "the statements")
        return [one.json for one in answer.statements]

    async def prove(self, receipt: str) -> None:
        """Verifies a receipt with the log's key alone, and that its tree extends the one seen before."""
        found = receipts.verify(receipt, self.stack.log_public_key)
        if found.checkpoint.size > self.proofs.size:
            await self._extends(
                self.proofs.size, self.proofs.root, found.checkpoint.size, found.checkpoint.root
            )
            self.proofs.size, self.proofs.root = found.checkpoint.size, found.checkpoint.root
        if receipt not in self.proofs.receipts:
            self.proofs.receipts.append(receipt)

    async def prove_again(self, receipt: str, head: receipt_pb2.Checkpoint) -> None:
        """Verifies an earlier receipt once more, and that the newest tree still extends its tree."""
        found = receipts.verify(receipt, self.stack.log_public_key).checkpoint
        await self._extends(found.size, found.root, head.tree_size, head.root_hash)

    async def head(self) -> receipt_pb2.Checkpoint:
        """The newest checkpoint."""
        log = self._log
        answer = await answered(lambda: log.GetCheckpoint(log_pb2.GetCheckpointRequest()), "the checkpoint")
        found: receipt_pb2.Checkpoint = answer.checkpoint
        return found

    @property
    def _log(self) -> Any:
        return self.callers.stub(TransparencyLogServiceStub, "retention", NOBODY)

    async def _extends(self, size: int, root: bytes, newer: int, newer_root: bytes) -> None:
        proof: list[bytes] = []
        if 0 < size < newer:
            request = log_pb2.GetConsistencyProofRequest(first_size=size, second_size=newer)
            answer = await answered(lambda: self._log.GetConsistencyProof(request), "a consistency proof")
            proof = list(answer.hashes)
        merkle.verify_consistency(size, newer, root, newer_root, proof)

    async def relay(self, customer: str, kind: int, request_id: str, *, by_support: bool) -> str:
        """Enters an end user's own request, which is refused; returns the case number."""
        caller = service("support") if by_support else self.callers.customer(customer)
        stub = self.callers.stub(RightsServiceStub, "retention", caller)
        request = rights_pb2.RelayEndUserRequestRequest(
            parent=f"customers/{customer}",
            request_id=request_id,
            kind=rights_pb2.RequestKind.ValueType(kind),
        )
        try:
            await answered(lambda: stub.RelayEndUserRequest(request), "a relayed request")
        except IdvError as error:
            assert error.reason_name == "END_USER_REQUEST_REFUSED"  # noqa: PT017 - the only right answer
            return error.metadata["case_number"]
        raise AssertionError("an end user's own request was carried out")


def as_opened(name: str, token: str) -> Opened:
    """A session as `Verification` takes it."""
    return Opened(name.split("/")[1], name, token)
