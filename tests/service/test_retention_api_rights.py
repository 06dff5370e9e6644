"""The methods on rights, records, accesses and the log, asked within the calling Customer."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from idv import merkle, receipts
from idv.checkpoint import VerifierKey, open_checkpoint
from idv.retention.v1 import deletions_pb2 as pb
from idv.retention.v1 import log_pb2, rights_pb2
from idv.retention.v1.rights_pb2_grpc import RightsServiceStub
from idv.types.v1 import processing_pb2, receipt_pb2

from tests.retention_process import (
    ACME,
    RECORD,
    SESSION,
    SUBJECT,
    Service,
    refusal,
)
from tests.waiting import until


async def test_records_and_accesses_are_asked_of_storage_within_the_customer(retention: Service) -> None:
    records = await retention.deletions.ListRecords(
        pb.ListRecordsRequest(parent=ACME, session=SESSION, page_size=7, page_token="t")
    )
    assert (records.records[0].name, records.next_page_token) == (f"{SESSION}/records/one", "more")
    await retention.deletions.ListRecords(pb.ListRecordsRequest(parent=ACME, subject=SUBJECT))
    accesses = await retention.deletions.ListAccesses(pb.ListAccessesRequest(parent=ACME, resource=RECORD))
    assert (accesses.accesses[0].service, accesses.next_page_token) == ("verification", "more")
    first, second, third = retention.storage.asked
    assert (first.parent, first.session, first.page_size, first.page_token) == (ACME, SESSION, 7, "t")
    assert second.subject == SUBJECT
    assert third.resource == RECORD
    for call in (
        retention.deletions.ListRecords(
            pb.ListRecordsRequest(parent=ACME, session=SESSION.replace("acme", "globex"))
        ),
        retention.deletions.ListAccesses(pb.ListAccessesRequest(parent=ACME, resource="customers/globex")),
    ):
        assert (await refusal(call)).reason_name == "WRONG_TENANT"
    assert len(retention.storage.asked) == 3


async def test_restriction_and_opting_out_are_asked_of_storage_within_the_customer(
    retention: Service,
) -> None:
    rights: Any = RightsServiceStub(retention.customer)
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
    restricted, opted_out = retention.storage.asked
    for asked, sent in ((restricted, restrict), (opted_out, opt_out)):
        assert asked.SerializeToString(deterministic=True) == sent.SerializeToString(deterministic=True)
    restrict.parent = "customers/globex"
    assert (await refusal(rights.SetRestriction(restrict))).reason_name == "WRONG_TENANT"


async def test_an_end_users_request_is_refused_listed_page_by_page_and_resolved(retention: Service) -> None:
    rights: Any = RightsServiceStub(retention.customer)
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


async def test_anyone_can_audit_the_log(retention: Service) -> None:
    retention.storage.destroy(*range(1, 6))
    made = await retention.delete(subject=SUBJECT)

    async def logged() -> log_pb2.GetCheckpointResponse | None:
        head: log_pb2.GetCheckpointResponse = await retention.log.GetCheckpoint(
            log_pb2.GetCheckpointRequest()
        )
        return head if head.checkpoint.tree_size == 6 else None

    head: log_pb2.GetCheckpointResponse = await until("destructions and deletion are logged", logged)
    checkpoint, _ = open_checkpoint(head.checkpoint.note, [VerifierKey.parse(head.verifier_key)])
    listed = await retention.log.ListLogEntries(log_pb2.ListLogEntriesRequest(start_index=0))
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
    between = await retention.log.GetConsistencyProof(log_pb2.GetConsistencyProofRequest(first_size=at.size))
    merkle.verify_consistency(at.size, between.second_size, at.root, checkpoint.root, list(between.hashes))
    proof = await retention.log.GetInclusionProof(log_pb2.GetInclusionProofRequest(leaf_index=3))
    merkle.verify_inclusion(3, proof.tree_size, hashes[3], list(proof.hashes), proof.root_hash)
    page = await retention.log.ListLogEntries(log_pb2.ListLogEntriesRequest(start_index=4, page_size=1))
    assert [entry.index for entry in page.entries] == [4]
    beyond = await retention.log.ListLogEntries(log_pb2.ListLogEntriesRequest(start_index=99))
    assert not beyond.entries
    wrong = log_pb2.GetInclusionProofRequest(leaf_index=3, tree_size=99)
    assert (await refusal(retention.log.GetInclusionProof(wrong))).field == "tree_size"
