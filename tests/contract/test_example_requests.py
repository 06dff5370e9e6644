"""The generated example of every request keeps the contract's rules and names the caller's own resource."""

from __future__ import annotations

import operator

import protovalidate
import pytest
from google.protobuf.descriptor import MethodDescriptor

from tests import descriptors, example_requests

NAMES = example_requests.Names(
    "customers/acme-bank", "customers/acme-bank/sessions/01890a5d-ac96-7b3c-8000-0123456789ab", "token"
)


@pytest.mark.parametrize("method", descriptors.methods(), ids=lambda method: method.full_name)
def test_the_example_of_a_request_is_valid(method: MethodDescriptor) -> None:
    request = example_requests.minimal(method, NAMES)
    protovalidate.validate(request)
    path = descriptors.rule(method).tenant_field
    if path:
        assert operator.attrgetter(path)(request).startswith("customers/acme-bank")
