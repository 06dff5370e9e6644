"""How many streams a Customer holds open: bounded for each, freed however they end."""

from __future__ import annotations

import pytest
from idv.errors import IdvError

from services.retention.streams import Streams


def test_each_customer_has_its_own_bound() -> None:
    streams = Streams(2)
    with streams.opened("customers/acme"), streams.opened("customers/acme"):
        with pytest.raises(IdvError) as refused, streams.opened("customers/acme"):
            pass
        assert (refused.value.reason_name, refused.value.metadata["limit"]) == ("OVERLOADED", "2")
        assert refused.value.remedy
        assert refused.value.retry_after
        with streams.opened("customers/globex"):
            assert streams.count() == 3
    assert streams.count() == 0


def test_a_stream_that_fails_is_freed() -> None:
    streams = Streams(1)
    with pytest.raises(ConnectionError), streams.opened("customers/acme"):
        raise ConnectionError
    with streams.opened("customers/acme"):
        pass
