"""Suspended Customers bring nothing in; settings say which optional items may be asked for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from idv.errors import IdvError, Reason
from idv.notice.v1 import customers_pb2 as pb

from services.ingest.standing import FRESH_SECONDS, Standings
from tests.unit.ingest_terms import CATALOGUE

IDFV, DNS = "device.hardware.idfv", "device.network.dns_ip"


@dataclass
class Told:
    """What notice answers; None: that it is away."""

    customer: pb.Customer | None = field(default_factory=lambda: pb.Customer(state=pb.CUSTOMER_STATE_ACTIVE))
    reason: Reason.ValueType = Reason.ERROR_REASON_UNAVAILABLE
    calls: int = 0
    elapsed: float = 0.0

    async def GetCustomer(self, request: pb.GetCustomerRequest, timeout: float) -> pb.GetCustomerResponse:
        self.calls += 1
        await asyncio.sleep(0)
        if self.customer is None:
            raise IdvError(self.reason, "told so")
        return pb.GetCustomerResponse(customer=self.customer)

    def standings(self) -> Standings:
        stub: Any = self
        return Standings(stub, CATALOGUE, lambda: self.elapsed)


async def refused(standings: Standings, *items: str) -> IdvError:
    with pytest.raises(IdvError) as caught:
        await standings.check("acme", items)
    return caught.value


async def test_a_suspension_and_its_end_count_within_seconds() -> None:
    told = Told()
    standings = told.standings()
    await standings.check("acme")
    told.customer = pb.Customer(state=pb.CUSTOMER_STATE_SUSPENDED)
    told.elapsed += FRESH_SECONDS
    assert (await refused(standings)).reason == Reason.ERROR_REASON_CUSTOMER_SUSPENDED
    told.customer = pb.Customer(state=pb.CUSTOMER_STATE_ACTIVE)
    assert (await refused(standings)).reason == Reason.ERROR_REASON_CUSTOMER_SUSPENDED
    told.elapsed += FRESH_SECONDS
    await standings.check("acme")


async def test_notice_is_asked_once_however_many_calls_come() -> None:
    told = Told()
    standings = told.standings()
    await asyncio.gather(*(standings.check("acme") for _ in range(50)))
    assert told.calls == 1


async def test_while_notice_is_away_the_last_answer_stands() -> None:
    told = Told(pb.Customer(state=pb.CUSTOMER_STATE_SUSPENDED))
    standings = told.standings()
    await refused(standings)
    told.customer = None
    for _ in range(3):
        told.elapsed += FRESH_SECONDS
        await refused(standings)


@pytest.mark.parametrize("reason", [Reason.ERROR_REASON_UNAVAILABLE, Reason.ERROR_REASON_NOT_FOUND])
async def test_a_customer_that_notice_does_not_tell_of_is_served(reason: Reason.ValueType) -> None:
    await Told(None, reason).standings().check("acme", [IDFV])


async def test_settings_name_the_optional_items_and_leave_all_others_alone() -> None:
    standings = Told(pb.Customer(state=pb.CUSTOMER_STATE_ACTIVE, optional_items=[DNS])).standings()
    await standings.check("acme", ["log", "device.hardware", DNS])
    error = await refused(standings, "log", IDFV)
    assert (error.reason_name, error.field) == ("INVALID_ARGUMENT", "items[1]")
    await Told().standings().check("acme", [IDFV])
