"""What is started and stopped: `async with` does both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Server(ABC):
    """A server of the stack, run by whoever enters it."""

    @abstractmethod
    async def start(self) -> None:
        """Start it and return when it can be used."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop it in good order."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
