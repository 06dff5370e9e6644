"""What can go wrong while the local stack runs; each message names what happened and what to do."""

from __future__ import annotations


class LocalError(Exception):
    """The local stack cannot do what was asked. The message is one sentence, the remedy another."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy
