"""What must not be printed says so in the contract, and every refusal has its code."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import EnumValueDescriptor, FieldDescriptor
from google.rpc import code_pb2
from idv.types.v1 import errors_pb2

from tests import descriptors

# Names under which people, their data, or a means of reaching either travel.
SENSITIVE_NAMES = {
    *("subject", "reference", "person", "email", "reply", "webhook_uri"),
    *("session_token", "upload_token", "sha256", "stored_sha256"),
}
# Services through which end users' data passes: bytes there may be a body, or a digest that can be guessed.
DATA_PACKAGES = ("idv.ingest.v1.", "idv.storage.v1.")


def sensitive(field: FieldDescriptor) -> bool:
    if field.type == FieldDescriptor.TYPE_BOOL and not descriptors.item(field).code:
        return False
    of_data = field.type == FieldDescriptor.TYPE_BYTES and field.full_name.startswith(DATA_PACKAGES)
    return of_data or field.name in SENSITIVE_NAMES or bool(descriptors.item(field).code)


def test_there_is_something_to_redact() -> None:
    assert sum(map(sensitive, descriptors.fields())) > 50


@pytest.mark.parametrize(
    "field", [field for field in descriptors.fields() if sensitive(field)], ids=lambda field: field.full_name
)
def test_a_sensitive_field_is_marked_to_be_redacted(field: FieldDescriptor) -> None:
    assert field.GetOptions().debug_redact


@pytest.mark.parametrize(
    "value", list(errors_pb2.ErrorReason.DESCRIPTOR.values), ids=lambda value: value.name
)
def test_every_reason_travels_under_a_code_of_grpc(value: EnumValueDescriptor) -> None:
    assert value.GetOptions().HasExtension(errors_pb2.grpc_code)
    code = value.GetOptions().Extensions[errors_pb2.grpc_code]
    assert code in code_pb2.Code.values()
    assert code != code_pb2.OK


def test_denials_travel_as_denials() -> None:
    denials = {
        "UNAUTHENTICATED": 16,
        "CREDENTIAL_EXPIRED": 16,
        "PERMISSION_DENIED": 7,
        "WRONG_TENANT": 7,
        "WRONG_SESSION": 7,
    }
    codes = {
        value.name.removeprefix("ERROR_REASON_"): value.GetOptions().Extensions[errors_pb2.grpc_code]
        for value in errors_pb2.ErrorReason.DESCRIPTOR.values
    }
    assert {name: codes[name] for name in denials} == denials
