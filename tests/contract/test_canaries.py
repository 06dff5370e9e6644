"""What is planted can be found again, in every spelling; and nothing else is."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import protovalidate
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from idv.types.v1 import data_pb2

from tests import descriptors
from tests.canaries import Canaries

NOW = datetime(2026, 5, 4, tzinfo=UTC)
CANARIES = Canaries()
TEXTS = st.binary(max_size=40)


def found(content: bytes) -> bool:
    return any(pattern in content for pattern in CANARIES.patterns())


@settings(deadline=None)
@given(before=TEXTS, after=TEXTS)
def test_a_canary_is_found_in_every_spelling(before: bytes, after: bytes) -> None:
    content = before + CANARIES.mark.encode() + after
    assert found(content)
    assert found(content.hex().encode())
    assert found(base64.b64encode(content))
    assert found(base64.urlsafe_b64encode(content))


@settings(deadline=None)
@given(st.binary(max_size=4096))
def test_nothing_is_found_where_nothing_was_planted(content: bytes) -> None:
    assert not found(content)


def test_every_text_of_end_users_data_holds_a_canary_and_the_whole_is_valid() -> None:
    planted = CANARIES.planted(data_pb2.ItemSet.DESCRIPTOR, NOW)
    protovalidate.validate(planted)
    texts = set(texts_of(planted))
    lone = [pattern.decode() for pattern in CANARIES.patterns() if pattern.isascii()]
    assert all(CANARIES.mark in text or text in lone for text in texts)
    holders = [field for field in descriptors.data_fields() if field.type == FieldDescriptor.TYPE_STRING]
    assert len(texts) == len(holders), "a field without a canary of its own"


def texts_of(message: Message) -> list[str]:
    texts = []
    for field, value in message.ListFields():
        for part in value if field.is_repeated else [value]:
            if isinstance(part, Message):
                texts += texts_of(part)
            elif isinstance(part, str):
                texts.append(part)
    return texts


@pytest.mark.parametrize("limit", [2**50, 10**15])
def test_a_planted_number_has_too_many_digits_to_appear_by_chance(limit: int) -> None:
    assert len(str(CANARIES.number(limit))) >= 15
