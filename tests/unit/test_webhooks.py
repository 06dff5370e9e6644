"""A webhook's signature proves whose it is and when it was made; a host leads to public addresses alone."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from idv import webhooks
from idv.webhooks import WebhookError

from services.notice.mail.schedule import Outcome
from services.notice.webhooks.addresses import Addresses, AddressRefusedError, Resolve
from services.notice.webhooks.http import of_status
from services.notice.webhooks.signing import WebhookSigner

OLD, NEW, STRANGER = (Ed25519PrivateKey.from_private_bytes(bytes([fill]) * 32) for fill in (1, 2, 3))
BODY = b'{"type":"deletion.ended","timestamp":"2026-11-24T10:00:00Z","data":{"state":"DONE"}}'
NOW = 1_795_514_400
ID = "0198f3a0-7e10-7abc-8def-0123456789ab"


def key(private: Ed25519PrivateKey) -> str:
    return webhooks.published(private.public_key())


def signed(*keys: Ed25519PrivateKey, body: bytes = BODY, seconds: int = NOW) -> dict[str, str]:
    return WebhookSigner(keys or (NEW,)).headers(ID, seconds, body)


def test_a_message_verifies_with_its_key_whatever_the_case_of_its_headers() -> None:
    headers = {name.title(): value for name, value in signed().items()}
    told = webhooks.verify(BODY, headers, key(NEW), now=NOW + 299)
    assert (told.id, told.timestamp, told.type, told.data) == (ID, NOW, "deletion.ended", {"state": "DONE"})


def test_while_a_key_is_changed_receivers_may_know_the_old_one_or_the_new() -> None:
    for known in (key(OLD), key(NEW), [key(STRANGER), key(NEW)]):
        webhooks.verify(BODY, signed(OLD, NEW), known, now=NOW)
    with pytest.raises(WebhookError, match="no signature"):
        webhooks.verify(BODY, signed(OLD, NEW), key(STRANGER), now=NOW)


@pytest.mark.parametrize("offset", [-301, 301, 86_400])
def test_a_copy_sent_again_later_is_refused(offset: int) -> None:
    with pytest.raises(WebhookError, match="too long ago"):
        webhooks.verify(BODY, signed(), key(NEW), now=NOW + offset)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("webhook-id", "0198f3a0-7e10-7abc-8def-0123456789ac"),
        ("webhook-id", ""),
        ("webhook-timestamp", str(NOW + 1)),
        ("webhook-timestamp", "soon"),
        ("webhook-timestamp", "-1"),
        ("webhook-timestamp", "9" * 400),
        ("webhook-timestamp", "١٧٩٥٥١٤٤٠٠"),
        ("webhook-signature", ""),
        ("webhook-signature", "v1a,not base64"),
        ("webhook-signature", f"v1a,{base64.b64encode(b'short').decode()}"),
        ("webhook-signature", f"v1,{base64.b64encode(bytes(64)).decode()}"),
    ],
)
def test_whatever_is_altered_no_longer_verifies(header: str, value: str) -> None:
    with pytest.raises(WebhookError):
        webhooks.verify(BODY, signed() | {header: value}, key(NEW), now=NOW)


def test_another_body_or_none_of_the_convention_is_refused() -> None:
    with pytest.raises(WebhookError):
        webhooks.verify(BODY + b" ", signed(), key(NEW), now=NOW)
    for body in (b"", b"[]", b'{"type":1,"data":{}}', b'{"type":"a","data":[]}', b"\xff"):
        with pytest.raises(WebhookError, match="convention"):
            webhooks.verify(body, signed(body=body), key(NEW), now=NOW)


@pytest.mark.parametrize("text", ["", "whpk_", "whsk_" + base64.b64encode(bytes(32)).decode(), "whpk_é"])
def test_what_is_no_public_key_is_named_as_such(text: str) -> None:
    with pytest.raises(ValueError, match="public key"):
        webhooks.verify(BODY, signed(), text, now=NOW)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.7"),
        *("224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1"),
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        *(
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
        ),
        *("64:ff9b:1::a00:1", "2002:7f00:1::1", "2002:a9fe:a9fe::1"),
    ],
)
async def test_no_address_that_is_not_public_is_used_even_beside_one_that_is(address: str) -> None:
    for answer in ([address], ["93.184.216.34", address], [address, "2606:4700::1111"]):
        with pytest.raises(AddressRefusedError):
            await Addresses(resolve=_answering(answer)).of("hooks.example", 443)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822"])
async def test_public_addresses_are_used(address: str) -> None:
    (found,) = await Addresses(resolve=_answering([address])).of("hooks.example", 443)
    assert str(found) == address


async def test_an_allowed_network_opens_itself_and_nothing_beside_it() -> None:
    allowed: list[IPv4Network | IPv6Network] = [IPv4Network("10.20.0.0/16"), IPv6Network("fd12::/16")]
    for good in ("10.20.3.4", "fd12::5"):
        assert await Addresses(allowed, _answering([good])).of("hooks.example", 443)
    for bad in ("10.21.0.1", "127.0.0.1", "fd13::1", "::ffff:10.21.0.1"):
        with pytest.raises(AddressRefusedError):
            await Addresses(allowed, _answering(["10.20.3.4", bad])).of("hooks.example", 443)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.ACCEPTED),
        (204, Outcome.ACCEPTED),
        (299, Outcome.ACCEPTED),
        (410, Outcome.REFUSED),
        *((status, Outcome.PUT_OFF) for status in (301, 302, 307, 308, 400, 401, 404, 429, 500, 503)),
    ],
)
def test_only_a_2xx_is_taking_it_and_only_410_is_refusing_it_for_good(status: int, outcome: Outcome) -> None:
    assert of_status(status).outcome is outcome


def _answering(addresses: Sequence[str]) -> Resolve:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve
