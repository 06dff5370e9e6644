"""Texts planted wherever end users' data can be said, and every spelling under which one could come back."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import secrets
from datetime import datetime
from itertools import count
from typing import Any

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


class Canaries:
    """One run's canaries: each text is unique, and all of them hold `mark`, so that one search finds any.

    Where a field takes only an address or a number, the planted value is remembered by itself. Values with
    too few digits to be told from chance (percentages, flags) are left to the mark in the same record.
    """

    def __init__(self) -> None:
        self.mark = f"canary{secrets.token_hex(6)}"
        self._serial = count(1)
        self._lone: list[bytes] = []

    def text(self, limit: int = 0) -> str:
        """A new canary of at most `limit` characters; 0: of any length."""
        made = f"{self.mark}.{next(self._serial)}"
        assert not limit or len(made) <= limit, "a field too short to hold a canary"
        return made

    def address(self) -> str:
        """A new address of a private network."""
        made = str(ipaddress.IPv6Address((0xFD << 120) | secrets.randbits(119)))
        self._lone.append(made.encode())
        return made

    def number(self, limit: int) -> int:
        """A new number of as many digits as the limit allows."""
        made = limit - secrets.randbelow(limit // 2)
        self._lone.append(str(made).encode())
        return made

    def digest_of(self, secret: bytes) -> None:
        """Looks for the bare SHA-256 of what must not rest as a bare digest either."""
        digest = hashlib.sha256(secret)
        self._lone += [digest.digest(), digest.hexdigest().encode(), base64.b64encode(digest.digest())]

    def planted(self, descriptor: Descriptor, now: datetime) -> Any:
        """A valid message of end users' data with a canary in every field that can hold one."""
        message: Message = GetMessageClass(descriptor)()
        for field in descriptor.fields:
            rules = field.GetOptions().Extensions[validate_pb2.field]
            value = self._value(field, rules.repeated.items if field.is_repeated else rules, now)
            if value is None:
                continue
            if field.is_repeated:
                getattr(message, field.name).append(value)
            elif isinstance(value, Message):
                getattr(message, field.name).CopyFrom(value)
            else:
                setattr(message, field.name, value)
        return message

    def _value(self, field: FieldDescriptor, rules: validate_pb2.FieldRules, now: datetime) -> Any:
        if field.message_type is not None:
            if field.message_type.full_name == "google.protobuf.Timestamp":
                return now
            return self.planted(field.message_type, now)
        if field.type == FieldDescriptor.TYPE_STRING:
            return self.address() if rules.string.ip else self.text(rules.string.max_len)
        if field.type == FieldDescriptor.TYPE_UINT64:
            return self.number(rules.uint64.lte)
        if field.type == FieldDescriptor.TYPE_ENUM:
            return 1
        return None

    def patterns(self) -> list[bytes]:
        """The bytes to look for: the mark in plain, hexadecimal, base64 and UTF-16, and each lone value."""
        plain = self.mark.encode()
        spellings = [plain, plain.upper(), plain.hex().encode(), plain.hex().upper().encode()]
        spellings.append(self.mark.encode("utf-16-le"))
        for alignment in range(3):
            encoded = base64.b64encode(b"?" * alignment + plain + b"?" * (3 - (alignment + len(plain)) % 3))
            # Characters that also depend on the neighbours are cut off.
            core = encoded[(8 * alignment + 5) // 6 : (8 * (alignment + len(plain))) // 6]
            spellings += [core, core.replace(b"+", b"-").replace(b"/", b"_")]
        return [*dict.fromkeys(spellings), *self._lone]
