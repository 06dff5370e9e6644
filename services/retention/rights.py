"""The rights that this release does not serve yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NoReturn

from idv.errors import IdvError, Reason
from idv.retention.v1.rights_pb2_grpc import RightsServiceServicer


class RightsApi(RightsServiceServicer):
    """Rights other than deletion: in the contract, answered NOT_SERVED, so that silence is no success."""

    async def ExportSubject(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Not served yet."""
        _refuse("ExportSubject")
        yield  # never reached: makes this a stream, as the contract has it

    async def CorrectRecord(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("CorrectRecord")

    async def SetRestriction(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("SetRestriction")

    async def SetOptOut(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("SetOptOut")

    async def RelayEndUserRequest(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("RelayEndUserRequest")

    async def ListRelays(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("ListRelays")

    async def ResolveRelay(self, request: Any, context: Any) -> Any:
        """Not served yet."""
        _refuse("ResolveRelay")


def _refuse(method: str) -> NoReturn:
    raise IdvError(
        Reason.ERROR_REASON_NOT_SERVED,
        f"{method} is in the contract, but not offered by this release",
        remedy="see the release notes for what is served",
    )
