"""What every test of a refusal by ingest needs: good data, the refusal itself, and that nothing is stored."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import pytest
from idv.errors import IdvError, Reason
from idv.types.v1 import data_pb2

from services.local import specimens
from tests.integration.verification import Opened, Verification

FACE = specimens.jpeg(specimens.face("Ada Example", 120))
HARDWARE = data_pb2.DeviceHardware(model="M1")
MODEL = data_pb2.ItemSet(device_hardware=HARDWARE)


async def refusal(attempt: Awaitable[Any], reason: Reason.ValueType, field: str | None) -> IdvError:
    """The refusal of an attempt, with the reason, the field and a remedy."""
    with pytest.raises(IdvError) as caught:
        await attempt
    assert caught.value.reason_name == Reason.Name(reason).removeprefix("ERROR_REASON_")
    assert caught.value.field == field
    if reason != Reason.ERROR_REASON_INVALID_ARGUMENT:
        assert caught.value.remedy
    return caught.value


async def nothing_is_stored(verification: Verification, opened: Opened) -> None:
    """Fails if the session holds a record."""
    assert await verification.records(opened.customer, session=opened.name) == []
