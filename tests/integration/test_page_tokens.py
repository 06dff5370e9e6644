"""A page token that a method never returned is refused by name, whatever the method lists."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import MethodDescriptor
from idv.errors import IdvError

from tests import descriptors, example_requests
from tests.integration.callers import Callers
from tests.integration.test_any_method import caller_of
from tests.integration.verification import Verification

# Where a purpose is named it is checked first, and differs by caller: storage's own tests cover that method.
PAGED = [
    each
    for each in descriptors.methods()
    if "page_token" in (fields := each.input_type.fields_by_name) and "purpose" not in fields
]


@pytest.mark.parametrize("token", ["x", "%%%"])
@pytest.mark.parametrize("method", PAGED, ids=lambda method: method.full_name)
async def test_a_malformed_page_token_is_refused_by_every_method_that_pages(
    callers: Callers, verification: Verification, method: MethodDescriptor, token: str
) -> None:
    opened = await verification.open("acme", "pages")
    request = example_requests.minimal(method, example_requests.Names("customers/acme", opened.name))
    request.page_token = token  # type: ignore[attr-defined]  # each of them has it
    with pytest.raises(IdvError) as refused:
        await callers.call(method, request, caller_of(callers, method))
    assert (refused.value.reason_name, refused.value.field) == ("INVALID_ARGUMENT", "page_token")
