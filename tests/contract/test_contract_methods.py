"""Every RPC says who may call it, on whose data, and can be retried safely."""

from __future__ import annotations

import pytest
from buf.validate import validate_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from tests import descriptors

# The internal callers there are: the four services, and those who call them with a certificate.
CALLERS = {"ingest", "storage", "retention", "notice", "verification", "support", "officer", "approver"}
SCOPES = {"ingest", "retention", "account"}

# What only reads begins with one of these; everything else changes something.
READS = ("Compare", "Follow", "Get", "List", "Watch", "Read", "Review", "Preview", "Inspect")

# Mutations whose request id stands deeper than in the request itself, and why.
DEEPER_REQUEST_IDS = {
    # Each part of a batch is retried by itself.
    "idv.ingest.v1.IngestService.BatchSubmitItems": "submissions.request_id",
    "idv.storage.v1.StorageService.WriteRecords": "writes.header.request_id",
    # A stream says it once, in its first message.
    "idv.ingest.v1.IngestService.UploadMedia": "header.request_id",
    "idv.storage.v1.StorageService.WriteObject": "header.request_id",
}

every_method = pytest.mark.parametrize("method", descriptors.methods(), ids=lambda method: method.full_name)


def test_the_contract_has_the_methods_of_all_four_services() -> None:
    packages = {service.file.package for service in descriptors.services()}
    assert packages == {"idv.ingest.v1", "idv.storage.v1", "idv.retention.v1", "idv.notice.v1"}
    assert len(descriptors.methods()) > 40


@every_method
def test_every_method_has_a_rule_that_allows_somebody_known(method: MethodDescriptor) -> None:
    rule = descriptors.rule(method)
    assert rule.customer or rule.session_token or rule.services or rule.anyone
    assert set(rule.services) <= CALLERS
    if rule.anyone:
        assert not any((rule.customer, rule.session_token, rule.services)), "anyone already allows everybody"


@every_method
def test_a_customers_method_names_its_scope_and_the_field_that_must_be_its_own(
    method: MethodDescriptor,
) -> None:
    rule = descriptors.rule(method)
    if rule.customer or rule.session_token:
        assert rule.tenant_field, "without it a Customer could name another's resource"
    assert (rule.scope in SCOPES) if rule.customer else not rule.scope


@every_method
def test_a_tenant_field_is_one_text_field_of_the_request(method: MethodDescriptor) -> None:
    path = descriptors.rule(method).tenant_field
    if not path:
        return
    field = descriptors.field_at(method.input_type, path)
    assert field is not None, f"{method.input_type.full_name} has no {path}"
    assert field.type == FieldDescriptor.TYPE_STRING
    assert not field.is_repeated
    if "." in path:
        assert method.client_streaming, "only the first message of a stream keeps it deeper"


def test_only_storage_is_closed_to_customers_as_a_whole() -> None:
    """Keys and bucket are storage's alone: no credential but an internal service's reaches it."""
    for method in descriptors.methods():
        rule = descriptors.rule(method)
        if method.containing_service.file.package == "idv.storage.v1":
            assert not any((rule.customer, rule.session_token, rule.anyone)), method.full_name


def test_every_method_has_a_request_and_response_of_its_own() -> None:
    taken = set()
    for method in descriptors.methods():
        package = method.containing_service.file.package
        for message, suffix in ((method.input_type, "Request"), (method.output_type, "Response")):
            assert message.full_name == f"{package}.{method.name}{suffix}"
            assert message.full_name not in taken
            taken.add(message.full_name)


@every_method
def test_every_mutation_carries_a_request_id(method: MethodDescriptor) -> None:
    path = DEEPER_REQUEST_IDS.get(method.full_name, "request_id")
    field = descriptors.field_at(method.input_type, path)
    if method.name.startswith(READS):
        assert field is None, "a read needs none"
        return
    assert field is not None, f"{method.full_name} changes something and cannot be retried safely"
    assert field.GetOptions().Extensions[validate_pb2.field].string.uuid


def test_no_exception_outlives_its_method() -> None:
    known = {method.full_name for method in descriptors.methods()}
    assert known >= DEEPER_REQUEST_IDS.keys()
