"""The retention service as its callers meet it: over TLS, with tokens, wired as in production."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import grpc
import pytest
import pytest_asyncio
from idv import channel, merkle, receipts
from idv.checkpoint import VerifierKey, open_checkpoint
from idv.errors import IdvError, Reason
from idv.retention.v1 import deletions_pb2 as pb
from idv.retention.v1 import log_pb2, rights_pb2
from idv.retention.v1.deletions_pb2_grpc import DeletionServiceStub
from idv.retention.v1.log_pb2_grpc import TransparencyLogServiceStub
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub
from idv.types.v1 import processing_pb2, receipt_pb2

from services.local.authority import Certificate, DevelopmentAuthority
from services.local.databases import ServiceDatabase
from services.local.ports import free_port
from services.retention import sealing, signing
from services.retention.main import main
from services.retention.settings import RetentionSettings
from services.runtime.start_error import StartError
from tests.retention_parts import ORIGIN, HeldStorage, serving, unavailable
from tests.runtime_process import ISSUER, Signer
from tests.waiting import until

ACME = "customers/acme"
SESSION = f"{ACME}/sessions/0197f0a0-0000-7000-8000-000000000001"
RECORD = f"{SESSION}/records/0197f0a0-0000-8000-8000-000000000002"
FOREIGN = SESSION.replace("acme", "globex")
SUBJECT = "passport-holder-4711"
TOO_MANY = ("INVALID_ARGUMENT", "target.targets")


@dataclass
class Service:
    """The running service, a storage to hold, and channels of its callers."""

    storage: HeldStorage
    customer: channel.AioChannel
    anyone: channel.AioChannel

    @property
    def deletions(self) -> Any:
        return DeletionServiceStub(self.customer)

    @property
    def log(self) -> Any:
        return TransparencyLogServiceStub(self.anyone)

    async def delete(self, request_id: str | None = None, **target: Any) -> pb.Deletion:
        answer = await self.deletions.CreateDeletion(deletion(request_id, **target))
        made: pb.Deletion = answer.deletion
        return made


def deletion(request_id: str | None = None, **target: Any) -> pb.CreateDeletionRequest:
    return pb.CreateDeletionRequest(
        parent=ACME, request_id=request_id or str(uuid4()), target=pb.DeletionTarget(**target)
    )


def mutual(files: Certificate) -> grpc.ServerCredentials:
    pair = (files.private_key.read_bytes(), files.certificate.read_bytes())
    return grpc.ssl_server_credentials([pair], files.authority.read_bytes(), require_client_auth=True)


def settings(folder: Path, database: ServiceDatabase, storage: str, port: int) -> RetentionSettings:
    files = DevelopmentAuthority(folder).service("retention")
    signing.generate(folder / "log.pem")
    sealing.generate(folder / "request.key")
    values: dict[str, Any] = {
        "environment": "local",
        "deployment": "test",
        "trust_domain": "idv.local",
        "listen_tls": f"127.0.0.1:{port}",
        "tls": vars(files),
        "customer_tokens": {"jwks": str(folder / "jwks.json"), "issuer": ISSUER},
        "database": {"dsn": database.dsn},
        "storage_target": storage,
        "notice_target": f"127.0.0.1:{free_port()}",
        "log": {"origin": ORIGIN, "signing_key": folder / "log.pem"},
        "request_key": folder / "request.key",
        "jobs": {"deletions": 0.2, "destructions": 0.2},
        "drain_seconds": 0,
        "grace_seconds": 2,
    }
    return RetentionSettings(**values)


@asynccontextmanager
async def running(made: RetentionSettings) -> AsyncIterator[None]:
    task = asyncio.create_task(main(made))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest_asyncio.fixture
async def service(service_database: ServiceDatabase, tmp_path: Path) -> AsyncIterator[Service]:
    signer, authority, port = Signer(tmp_path / "jwks.json"), DevelopmentAuthority(tmp_path), free_port()
    storage = HeldStorage()
    async with serving(storage, mutual(authority.service("storage"))) as address:
        made = settings(tmp_path, service_database, address, port)
        credentials = channel.Credentials.read(authority.certificate)
        target = f"localhost:{port}"
        async with (
            running(made),
            channel.aio(target, credentials, token=signer.token(scope="retention")) as customer,
            channel.aio(target, credentials) as anyone,
        ):
            await asyncio.wait_for(anyone.channel_ready(), 30)
            yield Service(storage, customer, anyone)


async def refusal(call: Any) -> IdvError:
    with pytest.raises(IdvError) as caught:
        await call
    return caught.value


async def test_a_customer_deletes_and_verifies_its_receipt_with_the_published_key(service: Service) -> None:
    for target in ({"record": RECORD}, {"session": SESSION}, {"subject": SUBJECT}):
        await deletes_and_verifies(service, target)


async def deletes_and_verifies(service: Service, target: dict[str, str]) -> None:
    request_id = str(uuid4())
    made = await service.delete(request_id, **target)
    assert made.state == pb.DELETION_STATE_DONE
    assert made.scope == next(iter(target))
    head = await service.log.GetCheckpoint(log_pb2.GetCheckpointRequest())
    verified = receipts.verify(made.receipt.json, head.verifier_key)
    assert verified.leaf_index == made.receipt.leaf_index
    assert verified.final_time == made.receipt.final_time.ToDatetime(UTC)
    assert verified.covers(request_id, target)
    again = await service.delete(request_id, **target)
    assert again.SerializeToString(deterministic=True) == made.SerializeToString(deterministic=True)
    got = await service.deletions.GetDeletion(pb.GetDeletionRequest(name=made.name))
    assert got.deletion == made


async def test_a_target_that_cannot_be_deleted_is_refused_by_field(service: Service) -> None:
    refusals: list[tuple[dict[str, Any], str, str]] = [
        ({"record": RECORD.replace("acme", "globex")}, "WRONG_TENANT", "target.record"),
        ({"session": SESSION.replace("acme", "globex")}, "WRONG_TENANT", "target.session"),
        ({"record": SESSION}, "INVALID_ARGUMENT", "target.record"),
        ({"session": RECORD}, "INVALID_ARGUMENT", "target.session"),
        ({"session": "no name"}, "INVALID_ARGUMENT", "target.session"),
        ({"subject": ""}, "INVALID_ARGUMENT", "target.subject"),
        ({}, "INVALID_ARGUMENT", "target.target"),
        ({"targets": pb.DeletionTargets()}, "INVALID_ARGUMENT", "target.targets"),
        ({"targets": pb.DeletionTargets(subjects=["s"] * 500, sessions=[SESSION])}, *TOO_MANY),
        ({"targets": pb.DeletionTargets(records=[SESSION])}, "INVALID_ARGUMENT", "target.targets.records"),
        ({"targets": pb.DeletionTargets(sessions=[FOREIGN])}, "WRONG_TENANT", "target.targets.sessions"),
    ]
    for target, reason, field in refusals:
        refused = await refusal(service.deletions.CreateDeletion(deletion(**target)))
        assert (refused.reason_name, refused.field) == (reason, field)
    assert service.storage.calls == 0
    listed = await service.deletions.ListDeletions(pb.ListDeletionsRequest(parent=ACME))
    assert not listed.deletions


async def test_another_customers_deletions_are_out_of_reach(service: Service) -> None:
    made = await service.delete(subject=SUBJECT)
    for name, reason in (
        (made.name.replace("acme", "globex"), "WRONG_TENANT"),
        (f"{ACME}/deletions/{uuid4()}", "NOT_FOUND"),
        ("customers/acme/deletions/none", "INVALID_ARGUMENT"),
    ):
        refused = await refusal(service.deletions.GetDeletion(pb.GetDeletionRequest(name=name)))
        assert refused.reason_name == reason


async def test_deletions_are_listed_page_by_page(service: Service) -> None:
    made = [(await service.delete(subject=f"{SUBJECT}-{number}")).name for number in range(5)]
    listed, token = [], ""
    while True:
        request = pb.ListDeletionsRequest(parent=ACME, page_size=2, page_token=token)
        page = await service.deletions.ListDeletions(request)
        assert len(page.deletions) <= 2
        listed += [one.name for one in page.deletions]
        token = page.next_page_token
        if not token:
            break
    assert sorted(listed) == sorted(made)
    wrong = pb.ListDeletionsRequest(parent=ACME, page_token="no token")
    assert (await refusal(service.deletions.ListDeletions(wrong))).field == "page_token"


async def test_a_deletion_that_waits_for_storage_is_watched_to_its_end(service: Service) -> None:
    service.storage.refusal = unavailable()
    refused = await refusal(service.deletions.CreateDeletion(deletion(subject=SUBJECT)))
    assert refused.reason_name == "UNAVAILABLE"
    assert refused.retry_after
    states = []
    async for change in service.deletions.WatchDeletion(
        pb.WatchDeletionRequest(name=refused.metadata["deletion"])
    ):
        states.append(change.deletion.state)
        service.storage.refusal = None
    assert states[0] == pb.DELETION_STATE_RUNNING
    assert states[-1] == pb.DELETION_STATE_DONE


async def test_a_deletion_that_failed_for_good_says_why(service: Service) -> None:
    service.storage.refusal = IdvError(Reason.ERROR_REASON_NOT_FOUND, "no such session")
    refused = await refusal(service.deletions.CreateDeletion(deletion(session=SESSION)))
    assert refused.reason_name == "NOT_FOUND"
    got = await service.deletions.GetDeletion(pb.GetDeletionRequest(name=refused.metadata["deletion"]))
    assert got.deletion.state == pb.DELETION_STATE_FAILED
    assert got.deletion.failure_reason == Reason.ERROR_REASON_NOT_FOUND
    assert not got.deletion.HasField("receipt")


async def test_records_and_accesses_are_asked_of_storage_within_the_customer(service: Service) -> None:
    records = await service.deletions.ListRecords(
        pb.ListRecordsRequest(parent=ACME, session=SESSION, page_size=7, page_token="t")
    )
    assert (records.records[0].name, records.next_page_token) == (f"{SESSION}/records/one", "more")
    await service.deletions.ListRecords(pb.ListRecordsRequest(parent=ACME, subject=SUBJECT))
    accesses = await service.deletions.ListAccesses(pb.ListAccessesRequest(parent=ACME, resource=RECORD))
    assert (accesses.accesses[0].service, accesses.next_page_token) == ("verification", "more")
    first, second, third = service.storage.asked
    assert (first.parent, first.session, first.page_size, first.page_token) == (ACME, SESSION, 7, "t")
    assert second.subject == SUBJECT
    assert third.resource == RECORD
    for call in (
        service.deletions.ListRecords(
            pb.ListRecordsRequest(parent=ACME, session=SESSION.replace("acme", "globex"))
        ),
        service.deletions.ListAccesses(pb.ListAccessesRequest(parent=ACME, resource="customers/globex")),
    ):
        assert (await refusal(call)).reason_name == "WRONG_TENANT"
    assert len(service.storage.asked) == 3


async def test_anyone_can_audit_the_log(service: Service) -> None:
    service.storage.destroy(*range(1, 6))
    made = await service.delete(subject=SUBJECT)

    async def logged() -> log_pb2.GetCheckpointResponse | None:
        head: log_pb2.GetCheckpointResponse = await service.log.GetCheckpoint(log_pb2.GetCheckpointRequest())
        return head if head.checkpoint.tree_size == 6 else None

    head: log_pb2.GetCheckpointResponse = await until("destructions and deletion are logged", logged)
    checkpoint, _ = open_checkpoint(head.checkpoint.note, [VerifierKey.parse(head.verifier_key)])
    listed = await service.log.ListLogEntries(log_pb2.ListLogEntriesRequest(start_index=0))
    assert listed.tree_size == 6
    hashes = [merkle.leaf_hash(entry.leaf_data) for entry in listed.entries]
    assert merkle.root(hashes) == checkpoint.root == head.checkpoint.root_hash
    for entry in listed.entries:
        if entry.kind == receipt_pb2.ENTRY_KIND_DELETION:
            assert not entry.HasField("opening"), "what a Customer deleted is not published"
        else:
            opening = receipts.Opening(entry.opening.salt, entry.opening.entry)
            assert opening.leaf() == entry.leaf_data
    at = receipts.verify(made.receipt.json, head.verifier_key).checkpoint
    between = await service.log.GetConsistencyProof(log_pb2.GetConsistencyProofRequest(first_size=at.size))
    merkle.verify_consistency(at.size, between.second_size, at.root, checkpoint.root, list(between.hashes))
    proof = await service.log.GetInclusionProof(log_pb2.GetInclusionProofRequest(leaf_index=3))
    merkle.verify_inclusion(3, proof.tree_size, hashes[3], list(proof.hashes), proof.root_hash)
    page = await service.log.ListLogEntries(log_pb2.ListLogEntriesRequest(start_index=4, page_size=1))
    assert [entry.index for entry in page.entries] == [4]
    beyond = await service.log.ListLogEntries(log_pb2.ListLogEntriesRequest(start_index=99))
    assert not beyond.entries
    wrong = log_pb2.GetInclusionProofRequest(leaf_index=3, tree_size=99)
    assert (await refusal(service.log.GetInclusionProof(wrong))).field == "tree_size"


async def test_an_end_users_request_is_refused_listed_page_by_page_and_resolved(service: Service) -> None:
    rights: Any = RightsServiceStub(service.customer)
    cases = []
    for kind in (rights_pb2.REQUEST_KIND_KNOW, rights_pb2.REQUEST_KIND_DELETE, rights_pb2.REQUEST_KIND_KNOW):
        entered = rights_pb2.RelayEndUserRequestRequest(parent=ACME, request_id=str(uuid4()), kind=kind)
        refused = await refusal(rights.RelayEndUserRequest(entered))
        assert refused.reason_name == "END_USER_REQUEST_REFUSED"
        assert refused.metadata["ask"] == ACME
        cases.append(refused.metadata["case_number"])
    first = await rights.ListRelays(rights_pb2.ListRelaysRequest(parent=ACME, page_size=2))
    rest = await rights.ListRelays(
        rights_pb2.ListRelaysRequest(parent=ACME, page_size=2, page_token=first.next_page_token)
    )
    assert [one.case_number for one in (*first.relays, *rest.relays)] == cases[::-1]
    assert not rest.next_page_token
    assert first.relays[0].state == rights_pb2.RELAY_STATE_ENTERED
    resolve = rights_pb2.ResolveRelayRequest(name=first.relays[0].name, request_id=str(uuid4()))
    resolved = (await rights.ResolveRelay(resolve)).relay
    assert resolved.state == rights_pb2.RELAY_STATE_RESOLVED
    assert (await rights.ResolveRelay(resolve)).relay == resolved
    for wrong, field in ((f"{ACME}/relays/x", "name"), (f"{ACME}/relays/{uuid4()}", "name")):
        error = await refusal(
            rights.ResolveRelay(rights_pb2.ResolveRelayRequest(name=wrong, request_id=str(uuid4())))
        )
        assert (error.field, error.reason_name in ("INVALID_ARGUMENT", "NOT_FOUND")) == (field, True)
    broken = rights_pb2.ListRelaysRequest(parent=ACME, page_token="x")
    assert (await refusal(rights.ListRelays(broken))).field == "page_token"


async def test_a_dry_run_counts_and_records_nothing(service: Service) -> None:
    count = deletion(everything=True)
    count.dry_run = True
    counted = (await service.deletions.CreateDeletion(count)).deletion
    assert (counted.scope, counted.record_count, counted.session_count) == ("everything", 9, 2)
    assert not counted.name
    assert not counted.HasField("receipt")
    assert service.storage.calls == 0
    listed = await service.deletions.ListDeletions(pb.ListDeletionsRequest(parent=ACME))
    assert not listed.deletions
    count.dry_run = False
    assert (await service.deletions.CreateDeletion(count)).deletion.name, "its request id is not used up"


async def test_a_large_deletion_is_watched_with_its_progress_to_its_end(service: Service) -> None:
    service.storage.rounds = 4
    held = asyncio.Event()

    async def hold(_request: object) -> None:
        if service.storage.calls > 1:
            await held.wait()

    service.storage.before = hold
    asked = asyncio.create_task(service.delete(everything=True))

    async def recorded() -> pb.Deletion | None:
        listed = await service.deletions.ListDeletions(pb.ListDeletionsRequest(parent=ACME))
        return next((one for one in listed.deletions if one.progress_done), None)

    running_one: pb.Deletion = await until("its progress is noted", recorded)
    assert (running_one.progress_done, running_one.progress_total) == (1, 4)
    assert running_one.expected_completion_time.seconds > running_one.receive_time.seconds
    seen = []
    watch = pb.WatchDeletionRequest(name=running_one.name)
    async for change in service.deletions.WatchDeletion(watch):
        seen.append((change.deletion.progress_done, change.deletion.state))
        held.set()
    assert seen == sorted(seen)
    assert seen[-1][1] == pb.DELETION_STATE_DONE
    assert (await asked).receipt.json


async def test_restriction_and_opting_out_are_asked_of_storage_within_the_customer(service: Service) -> None:
    rights: Any = RightsServiceStub(service.customer)
    request_id = str(uuid4())
    restrict = rights_pb2.SetRestrictionRequest(
        parent=ACME,
        request_id=request_id,
        subject=SUBJECT,
        restricted=True,
        reason=processing_pb2.RESTRICTION_REASON_LEGAL_CLAIM,
    )
    answer = await rights.SetRestriction(restrict)
    assert (answer.record_count, answer.HasField("expire_time")) == (4, True)
    opt_out = rights_pb2.SetOptOutRequest(
        parent=ACME, request_id=request_id, subject=SUBJECT, items=["log"], opted_out=True
    )
    assert (await rights.SetOptOut(opt_out)).HasField("opt_out_time")
    restricted, opted_out = service.storage.asked
    for asked, sent in ((restricted, restrict), (opted_out, opt_out)):
        assert asked.SerializeToString(deterministic=True) == sent.SerializeToString(deterministic=True)
    restrict.parent = "customers/globex"
    assert (await refusal(rights.SetRestriction(restrict))).reason_name == "WRONG_TENANT"


async def test_a_wrong_signing_key_stops_the_start(service_database: ServiceDatabase, tmp_path: Path) -> None:
    Signer(tmp_path / "jwks.json")
    made = settings(tmp_path, service_database, "127.0.0.1:1", free_port())
    async with asyncio.timeout(30), running(made):
        assert await opened(service_database)
    (tmp_path / "log.pem").unlink()
    signing.generate(tmp_path / "log.pem")
    with pytest.raises(StartError, match="transparency log"):
        await main(made)


async def opened(database: ServiceDatabase) -> bool:
    """True once the log has a head."""
    connection = await asyncpg.connect(database.admin_dsn)

    async def has_head() -> bool | None:
        return bool(await connection.fetchval("SELECT count(*) FROM retention.log_checkpoints")) or None

    try:
        found: bool = await until("the log is open", has_head)
    finally:
        await connection.close()
    return found


def test_the_openings_term_is_that_of_the_data() -> None:
    assert timedelta(days=RetentionSettings.model_fields["opening_days"].default) == timedelta(days=30)
