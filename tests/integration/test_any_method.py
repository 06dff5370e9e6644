"""No request of an allowed caller, however odd, makes a method fail: it is answered, or refused with why."""

from __future__ import annotations

import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from idv.errors import IdvError

from tests import descriptors, example_requests
from tests.any_message import any_message, valid_message
from tests.integration.callers import NOBODY, Caller, Callers, service
from tests.integration.verification import Opened, Verification

FAILURES = {"INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "OVERLOADED"}
# Fields that name real things: drawn at random they would only ever be refused.
KEPT = ("parent", "session", "session_token", "request_id")


@pytest_asyncio.fixture(scope="module")
async def opened(verification: Verification) -> Opened:
    return await verification.open("acme", "odd-requests")


def caller_of(callers: Callers, method: MethodDescriptor) -> Caller:
    rule = descriptors.rule(method)
    if rule.customer:
        return callers.customer("acme")
    return service(rule.services[0]) if rule.services else NOBODY


@pytest.mark.parametrize("method", descriptors.methods(), ids=lambda method: method.full_name)
@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data())
async def test_any_request_is_answered_or_refused_with_a_reason(
    callers: Callers, opened: Opened, method: MethodDescriptor, data: st.DataObject
) -> None:
    names = example_requests.Names("customers/acme", opened.name, opened.token)
    request = example_requests.minimal(method, names)
    odd: Message = data.draw(any_message(method.input_type) | valid_message(method.input_type))
    for field in odd.DESCRIPTOR.fields:
        if field.name in KEPT and getattr(request, field.name, None) and data.draw(st.booleans()):
            odd.ClearField(field.name)
    request.MergeFrom(odd)
    try:
        await callers.call(method, request, caller_of(callers, method))
    except IdvError as error:
        assert error.reason_name not in FAILURES  # noqa: PT017 - any other reason is an answer
