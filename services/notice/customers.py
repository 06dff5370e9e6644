"""Customers and deliveries, which this release does not serve yet."""

from __future__ import annotations

from typing import Any, NoReturn

from idv.errors import IdvError, Reason
from idv.notice.v1.customers_pb2_grpc import CustomerServiceServicer


class CustomerApi(CustomerServiceServicer):
    """In the contract, and answered NOT_SERVED: nobody may take silence for a registration or a delivery."""

    async def CreateCustomer(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("CreateCustomer")

    async def GetCustomer(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("GetCustomer")

    async def ListCustomers(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("ListCustomers")

    async def UpdateCustomer(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("UpdateCustomer")

    async def SetCustomerState(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("SetCustomerState")

    async def AcknowledgeNotice(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("AcknowledgeNotice")

    async def ListDeliveries(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("ListDeliveries")

    async def SendMessage(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("SendMessage")


def _refuse(method: str) -> NoReturn:
    raise IdvError(
        Reason.ERROR_REASON_NOT_SERVED,
        f"{method} is in the contract, but not offered by this release",
        remedy="see the release notes for what is served",
    )
